package simulated

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/gpu"
)

// heard is a gpu.Watcher that keeps the faults it is told of.
type heard []gpu.Fault

func (h *heard) Samples([]gpu.Sample) {}
func (h *heard) Changed(c gpu.Change) { *h = append(*h, c.Fault) }

func TestAFlakyCardFailsInEveryWayAndComesBackEachTime(t *testing.T) {
	s, c, _, devices := open(t, "flaky:rtx-4090,rtx-4090")
	var h heard
	told, answered := map[string]gpu.Fault{}, 0
	for range int(2 * round / time.Second) {
		s.tell(&h, told)
		all, err := s.Sample(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fault := s.life(0, c.now()).fault
		silent := fault == gpu.FaultHang || fault == gpu.FaultLost
		if silent == (len(all) == 2) {
			t.Fatalf("%d samples while the fault is %s", len(all), fault)
		}
		if (fault == gpu.FaultNone) != (s.SetPowerLimit(t.Context(), devices[0].UUID, 300_000) == nil) {
			t.Fatalf("a power limit while the fault is %s", fault)
		}
		answered += len(all)
		c.pass(time.Second)
	}
	once := heard{gpu.FaultHang, gpu.FaultNone, gpu.FaultLost, gpu.FaultNone, gpu.FaultXid, gpu.FaultNone}
	if diff := cmp.Diff(append(once, once...), h); diff != "" {
		t.Error(diff)
	}
	if want := 4*int(round/time.Second) - 2*60; answered != want {
		t.Errorf("%d samples, want %d", answered, want)
	}
	if got := read(t, s); got.Xids != 2 || got.LastXid != 48 {
		t.Errorf("reads %+v after two rounds", got)
	}
}

func TestFlakyCardsOfOneMachineFailOneAfterTheOther(t *testing.T) {
	s, c, _, _ := open(t, "flaky:mining-rig")
	c.pass(time.Minute)
	for i := range s.devices {
		if fails := s.life(i, c.now()).fault != gpu.FaultNone; fails != (i == 0) {
			t.Errorf("card %d fails: %t", i, fails)
		}
	}
}
