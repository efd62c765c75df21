package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/urfave/cli/v2"
)

func offersCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:     "offers",
		Usage:    "list who lends GPUs, cheapest first",
		Category: categoryRent,
		Description: examples(
			"rigmesh offers --vram 24GiB --max-price 0.50",
			"rigmesh offers --json | jq '.[].worker'"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "vram", Usage: "at least `SIZE` of memory on each GPU, such as 24GiB"},
			&cli.StringFlag{Name: "model", Usage: "this `MODEL` only, such as rtx-4090"},
			&cli.StringFlag{Name: "region", Usage: "only in `REGION`, as owners name it, or one of several: eu,us-east"},
			&cli.StringFlag{Name: "max-price", Usage: "at most `CREDITS` per GPU-hour"},
			&cli.StringFlag{Name: "wait", Usage: "look for more for this `TIME` (default: answer at once with what is known, and look for 3s when nothing is)"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return offers(c, k) },
	}, arguments{0, 0})
}

func offers(c *cli.Context, k console) error {
	var vram config.Bytes
	var maxPrice config.Price
	wait := config.Duration(3 * time.Second)
	if err := parseFlags(c, flagValue{"vram", &vram}, flagValue{"max-price", &maxPrice}, flagValue{"wait", &wait}); err != nil {
		return err
	}
	var only placement
	if c.IsSet("region") {
		only.Regions = strings.Split(c.String("region"), ",")
	}
	if err := errors.Join(append(only.check(), forgottenUnit("--vram", vram))...); err != nil {
		return &usageError{err}
	}
	client, err := connect(c.Context, c, k)
	if err != nil {
		return err
	}
	resp, err := offersIn(c.Context, client, only.Regions, &controlv1.ListOffersRequest{
		VramBytes: uint64(vram), Model: c.String("model"), MaxPrice: uint64(maxPrice),
		WaitMs: time.Duration(wait).Milliseconds(), Known: !c.IsSet("wait"),
	})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(k.out, offerViews(resp.Offers))
	}
	if len(resp.Offers) == 0 {
		return noOffers(resp.ConnectedPeers)
	}
	t := newTable(k.out, "WORKER", "GPUS", "VRAM", "FREE", "PRICE", "CPUS", "MEMORY", "LONGEST", "REGION", "SEEN")
	for _, o := range resp.Offers {
		offer := o.GetOffer()
		t.row(shortPeer(o.PeerId), deviceNames(offer.GetDevices()), leastVRAM(offer.GetDevices()),
			fmt.Sprintf("%d/%d", offer.GetFreeDevices(), len(offer.GetDevices())), prices(offer.GetDevices()),
			fmt.Sprint(offer.GetMachine().GetCpus()), size(offer.GetMachine().GetMemoryBytes()),
			span(time.Duration(offer.GetMaxDurationMs())*time.Millisecond), job.CleanText(offer.GetRegion()), ago(o.SeenMs))
	}
	return t.flush()
}

// offersIn asks the node for offers, and keeps those of some regions, or of all when none is
// named. The node looks for more only when it knows nothing that fits, wherever that is: when
// none of what it knew is in the regions, it is asked to look all the same.
func offersIn(ctx context.Context, client *control.Client, regions []string, req *controlv1.ListOffersRequest) (*controlv1.ListOffersResponse, error) {
	resp, err := client.Offers(ctx, req)
	if err != nil {
		return nil, err
	}
	known := len(resp.Offers)
	resp.Offers = slices.DeleteFunc(resp.Offers, func(o *controlv1.SeenOffer) bool {
		return !market.InRegion(o.GetOffer().GetRegion(), regions)
	})
	if req.Known && known > 0 && len(resp.Offers) == 0 {
		req.Known = false
		return offersIn(ctx, client, regions, req)
	}
	return resp, nil
}

func noOffers(peers uint32) error {
	if peers == 0 {
		return hint(fmt.Errorf("no offers: connected to no other node"),
			"name one to begin with: --bootstrap ADDRESS, as rigmesh up prints it")
	}
	return hint(fmt.Errorf("no offers that fit, from %d connected peers", peers),
		"loosen --vram, --model, --region or --max-price, or look longer with --wait 30s")
}

// deviceNames writes devices for people: "2× rtx-4090, h100-sxm 1g.10gb (simulated)".
func deviceNames(devices []*marketv1.Device) string {
	type kind struct {
		model     string
		simulated bool
	}
	var order []kind
	counts := map[kind]int{}
	for _, d := range devices {
		k := kind{modelAndSlice(d.Model, d.Mig), d.Simulated}
		if counts[k]++; counts[k] == 1 {
			order = append(order, k)
		}
	}
	var names []string
	for _, k := range order {
		name := job.CleanText(k.model)
		if n := counts[k]; n > 1 {
			name = fmt.Sprintf("%d× %s", n, name)
		}
		if k.simulated {
			name += " (simulated)"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// modelAndSlice is a model, and the profile of a MIG slice of it; "" is a whole card.
func modelAndSlice(model, profile string) string { return strings.TrimSpace(model + " " + profile) }

func leastVRAM(devices []*marketv1.Device) string {
	if len(devices) == 0 {
		return ""
	}
	least := slices.MinFunc(devices, func(a, b *marketv1.Device) int { return cmp.Compare(a.VramBytes, b.VramBytes) })
	return gpu.FormatVRAM(least.VramBytes)
}

// prices writes the price of devices, or the range of their prices.
func prices(devices []*marketv1.Device) string {
	if len(devices) == 0 {
		return ""
	}
	byPrice := func(a, b *marketv1.Device) int { return cmp.Compare(a.Price, b.Price) }
	low, high := slices.MinFunc(devices, byPrice).Price, slices.MaxFunc(devices, byPrice).Price
	if low == high {
		return credits(low)
	}
	return credits(low) + "–" + credits(high)
}

func ago(ms int64) string {
	if ms == 0 {
		return ""
	}
	return span(max(0, time.Since(time.UnixMilli(ms)))) + " ago"
}

// offerView is an offer as --json prints it.
type offerView struct {
	Worker    string       `json:"worker"`
	Devices   []deviceView `json:"devices"`
	Free      uint32       `json:"free_devices"`
	Simulated bool         `json:"simulated"`
	CPUs      uint32       `json:"cpus"`
	Memory    uint64       `json:"memory_bytes"`
	Disk      uint64       `json:"disk_bytes"`
	Platform  string       `json:"platform"`
	Longest   int64        `json:"max_duration_ms"`
	Region    string       `json:"region,omitempty"`
	Expires   string       `json:"expires"`
	Seen      string       `json:"seen"`
}

// deviceView is a GPU as --json prints it; the price is in micro-credits per hour.
type deviceView struct {
	Model     string `json:"model"`
	MIG       string `json:"mig,omitempty"`
	VRAM      uint64 `json:"vram_bytes"`
	Price     uint64 `json:"price_micro"`
	Simulated bool   `json:"simulated"`
}

func offerViews(seen []*controlv1.SeenOffer) []offerView {
	views := make([]offerView, 0, len(seen))
	for _, o := range seen {
		f := o.GetOffer()
		views = append(views, offerView{
			Worker: o.PeerId, Devices: deviceViews(f.GetDevices()), Free: f.GetFreeDevices(), Simulated: f.GetSimulated(),
			CPUs: f.GetMachine().GetCpus(), Memory: f.GetMachine().GetMemoryBytes(), Disk: f.GetMachine().GetDiskBytes(),
			Platform: f.GetMachine().GetPlatform(), Longest: f.GetMaxDurationMs(), Region: f.GetRegion(), Expires: rfc3339(f.GetExpiresMs()), Seen: rfc3339(o.SeenMs),
		})
	}
	return views
}

func deviceViews(devices []*marketv1.Device) []deviceView {
	views := make([]deviceView, 0, len(devices))
	for _, d := range devices {
		views = append(views, deviceView{d.Model, d.Mig, d.VramBytes, d.Price, d.Simulated})
	}
	return views
}
