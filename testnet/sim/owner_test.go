package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/owner"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// faulty is a machine with one card that does what a test wants.
func faulty() (*node.Machine, *gputest.Faulty) {
	devices := gputest.One4090()
	devices[0].Power = gpu.PowerLimits{Now: 450_000, Default: 450_000, Least: 150_000, Most: 450_000}
	src := gputest.NewFaulty(devices, time.Now)
	return &node.Machine{Devices: devices, Source: src}, src
}

func sentences(events []*leasev1.JobEvent, code string) []string {
	var out []string
	for _, e := range events {
		if tr := e.GetTrouble(); tr.GetCode() == code {
			out = append(out, tr.Sentence)
		}
	}
	return out
}

func TestAnOwnerTakesTheMachineBackPolitely(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price, Owner: func(c *config.Config) { c.Notice = 20 * time.Second }})
		settle()
		id := submit(t, m[0], submission(t, m[0], "on-warn saving", "on-term 7", "print busy", "sleep 1h", "sleep 1h"), 30*time.Second)
		if err := m[1].Keeper().Pause(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if out := output(t, m[0], id, runtime.Stdout); out != "busy\nsaving\n" {
			t.Errorf("stdout %q: want the task warned, and not ended yet", out)
		}
		events := follow(t, m[0], id)
		end := ended(t, events)
		if end.Outcome != leasev1.Outcome_OUTCOME_FAILED || end.Exit.GetCode() != 7 || !strings.Contains(end.Sentence, "owner took the machine back") {
			t.Errorf("ended %v", end)
		}
		if said := sentences(events, "yielding"); len(said) != 1 || !strings.Contains(said[0], "told to end in 20s") {
			t.Errorf("said %q", said)
		}
		s := agreed(t, m[0], m[1], end.LeaseId)
		if s.Ended != "the worker's owner took the machine back" {
			t.Errorf("the receipt says %q", s.Ended)
		}
		credited(t, s, 45*time.Second, 52*time.Second)
		_, events = finish(t, m[0], submission(t, m[0], "exit 0"))
		if d := declines(events); !slices.Equal(d, []marketv1.DeclineReason{marketv1.DeclineReason_DECLINE_REASON_POLICY}) {
			t.Errorf("declines %v; want the owner's rules named", d)
		}
		if err := m[1].Keeper().Resume(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		_, events = finish(t, m[0], submission(t, m[0], "exit 4"))
		exited(t, events, 4)
	})
}

func TestATaskThatStandsStillToCoolTheCardEarnsNothingMeanwhile(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		machine, src := faulty()
		uuid := machine.Devices[0].UUID
		m := Network(t, Setting{}, Setting{Machine: machine, Price: price, Owner: func(c *config.Config) {
			c.Every = owner.Limits{Temperature: 80, Power: 150_000} // no watts left to take
		}})
		settle()
		id := submit(t, m[0], submission(t, m[0], "sleep 60s", "exit 3"), 20*time.Second)
		src.Heat(uuid, 82)
		time.Sleep(12 * time.Second)
		src.Heat(uuid, 60)
		events := follow(t, m[0], id)
		end := exited(t, events, 3)
		if said := sentences(events, "held"); len(said) != 1 || !strings.Contains(said[0], "unpaid") {
			t.Errorf("said %q", said)
		}
		s := agreed(t, m[0], m[1], end.LeaseId)
		credited(t, s, 40*time.Second, 50*time.Second)
		if got := src.Limit(uuid); got != 150_000 {
			t.Errorf("limit %d mW while the node runs", got)
		}
		m[1].Stop()
		if got := src.Limit(uuid); got != 450_000 {
			t.Errorf("limit %d mW after its end", got)
		}
	})
}

func TestAMixedRigOffersEachCardAtItsPriceAndNotTheBrokenOne(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "mining-rig", Price: price, Owner: func(c *config.Config) {
			c.Devices = []owner.DeviceRule{
				{Name: "rtx-3090", Price: new(uint64(2 * price))}, {Name: "1", Price: new(uint64(price + 7))}, {Name: "2", Lend: new(false)},
			}
		}})
		settle()
		signed, err := m[1].Worker().Offer()
		if err != nil {
			t.Fatal(err)
		}
		v, err := statement.OpenOffer(signed)
		if err != nil {
			t.Fatal(err)
		}
		offer := v.Message()
		if err := job.CheckOffer(offer); err != nil || len(offer.Devices) != 6 || offer.FreeDevices != 5 {
			t.Fatalf("offer %v, %v", offer, err)
		}
		prices := map[string]uint64{}
		for _, d := range offer.Devices {
			if d.Withheld != (d.Model == "gtx-1660-super") || !d.Simulated || d.Capability == "" {
				t.Errorf("offered %v", d)
			}
			prices[d.Model] = d.Price
		}
		if prices["rtx-3090"] != 2*price || prices["rtx-3080"] != price+7 || prices["rtx-3060"] != price {
			t.Errorf("prices %v", prices)
		}
	})
}
