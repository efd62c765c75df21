package market

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// ErrUnacceptable is what every reason not to take a bid is.
var ErrUnacceptable = errors.New("bid is not acceptable")

// Wants is what a requester asked for, and when it stops looking.
type Wants struct {
	MaxPrice    uint64 // micro-credits per GPU-hour
	Requirement *marketv1.Requirement
	MaxDuration time.Duration // of the lease
	AbsentGrace time.Duration // the silence the worker must at least sit through; 0: any
	Now         time.Time     // expired bids are refused at this moment; zero: expiry is not looked at

	Regions       []string      // one of these, or anywhere when empty
	MaxRTT        time.Duration // 0: any; a worker whose distance is not known is refused
	MinReputation int           // percent; 0: any
	Deny          []peer.ID
	Prefer        Preference // what else counts beside the price
}

// Candidate is one bid, who made it, how far away it is and how it did before.
type Candidate struct {
	Bid        *marketv1.Bid
	Worker     peer.ID
	RTT        time.Duration // 0: not known
	Reputation int           // percent
}

// Acceptable says why a bid does not give what was asked, all reasons at once; nil when it does. ErrUnacceptable.
func Acceptable(w Wants, c Candidate) error {
	b := c.Bid
	var reasons []error
	refuse := func(format string, args ...any) {
		reasons = append(reasons, fmt.Errorf("%w: "+format, append([]any{ErrUnacceptable}, args...)...))
	}
	if b.GetPrice() > w.MaxPrice {
		refuse("price %s is above %s", job.FormatPrice(b.GetPrice()), job.FormatPrice(w.MaxPrice))
	}
	if !w.Now.IsZero() && b.GetExpiresMs() <= w.Now.UnixMilli() {
		refuse("it expired")
	}
	if b.GetMaxAbsentGraceMs() < w.AbsentGrace.Milliseconds() {
		refuse("the worker waits at most %s for a silent requester, not %s",
			time.Duration(b.GetMaxAbsentGraceMs())*time.Millisecond, w.AbsentGrace)
	}
	need := Requirement(w.Requirement)
	if len(b.GetDevices()) != need.Count {
		refuse("%d devices, not %d", len(b.GetDevices()), need.Count)
	}
	for _, d := range b.GetDevices() {
		if !need.Fits(device(d, b.GetSimulated())) {
			refuse("%s does not meet the requirement", described(d, b.GetSimulated()))
		}
	}
	if need.NVLink && need.Count > 1 && !linked(b.GetDevices()) {
		refuse("the devices are not linked by NVLink")
	}
	w.place(c, refuse)
	return errors.Join(reasons...)
}

// place refuses workers that are not where the job may run.
func (w Wants) place(c Candidate, refuse func(format string, args ...any)) {
	if !InRegion(c.Bid.GetRegion(), w.Regions) {
		refuse("the machine is in %s, not in %s", named(c.Bid.GetRegion()), strings.Join(w.Regions, " or "))
	}
	if w.MaxRTT > 0 && (c.RTT <= 0 || c.RTT > w.MaxRTT) {
		refuse("it is %s away, and at most %s was asked for", distance(c.RTT), w.MaxRTT)
	}
	if c.Reputation < w.MinReputation {
		refuse("its reputation here is %d %%, and at least %d %% was asked for", c.Reputation, w.MinReputation)
	}
	if slices.Contains(w.Deny, c.Worker) {
		refuse("it is on the job's deny list")
	}
}

func named(region string) string {
	if region == "" {
		return "a region its owner does not name"
	}
	return job.CleanText(region)
}

func distance(rtt time.Duration) string {
	if rtt <= 0 {
		return "an unknown distance"
	}
	return rtt.Round(time.Millisecond).String()
}

// InRegion says whether a region is one of those wanted, or part of one: "eu-west" is in "eu".
func InRegion(region string, wanted []string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool {
		return region == w || strings.HasPrefix(region, w+"-")
	})
}

func device(d *marketv1.Device, simulated bool) gpu.Device {
	out := Device(d)
	out.Simulated = simulated || d.GetSimulated()
	return out
}

// linked says whether a bid's devices are one island, as far as the worker says.
func linked(devices []*marketv1.Device) bool {
	for _, d := range devices {
		if d.GetIsland() == 0 || d.GetIsland() != devices[0].GetIsland() {
			return false
		}
	}
	return true
}

func described(d *marketv1.Device, simulated bool) string {
	s := fmt.Sprintf("%s with %s", job.CleanText(d.GetModel()), gpu.FormatVRAM(d.GetVramBytes()))
	if device(d, simulated).Simulated {
		return "simulated " + s
	}
	return s
}

// Rank lists the indexes of all acceptable bids, the winner first: whom to ask next
// when the winner refuses. The order in which bids came decides nothing.
func Rank(w Wants, cs []Candidate) []int {
	var order []int
	for i, c := range cs {
		if Acceptable(w, c) == nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return Compare(w.Prefer, cs[a], cs[b]) })
	return order
}

// Compare orders candidates, the better first: by score, then by price, by start, by
// distance (one that is not known is longer than any that is), and by peer id.
func Compare(p Preference, a, b Candidate) int {
	return cmp.Or(
		cmp.Compare(Rate(p, a).Total(), Rate(p, b).Total()),
		cmp.Compare(a.Bid.GetPrice(), b.Bid.GetPrice()),
		cmp.Compare(a.Bid.GetStartMs(), b.Bid.GetStartMs()),
		cmp.Compare(uint64(a.RTT-1), uint64(b.RTT-1)),
		cmp.Compare(a.Worker, b.Worker),
	)
}
