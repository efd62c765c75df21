package keeper

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/job/owner"
)

func TestALimitThatTheCardLostIsSetAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{Every: owner.Limits{Power: 250_000}})
		s.pass(time.Minute)
		if err := s.src.SetPowerLimit(t.Context(), s.uuid(0), 350_000); err != nil { // as a driver that is loaded anew
			t.Fatal(err)
		}
		s.pass(3 * time.Second)
		if got := s.src.Limit(s.uuid(0)); got != 250_000 {
			t.Errorf("limit %d mW", got)
		}
		s.stop()
		if got := s.src.Limit(s.uuid(0)); got != 350_000 || Changed(s.File) {
			t.Errorf("put back to %d mW", got)
		}
	})
}

func TestWhatIsPutBackIsWhatWasSetAndNotWhatHeldTheCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, src: gputest.NewFaulty(cards(), time.Now), leases: &leases{}, dir: t.TempDir()}
		s.src.Enforce(cards()[0].UUID, 300_000) // as a power supply that asks for less
		s.start(owner.Rules{Every: owner.Limits{Power: 250_000}})
		s.pass(3 * time.Second)
		if got := s.src.Limit(s.uuid(0)); got != 250_000 {
			t.Errorf("limit %d mW", got)
		}
		s.stop()
		if got := s.src.Limit(s.uuid(0)); got != 350_000 {
			t.Errorf("put back to %d mW", got)
		}
	})
}

// deafCard takes every power limit and keeps its own.
type deafCard struct {
	*gputest.Faulty
	told int
}

func (d *deafCard) SetPowerLimit(context.Context, string, uint32) error {
	d.told++
	return nil
}

func TestACardThatKeepsItsOwnLimitIsNotToldEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := openSettings(filepath.Join(t.TempDir(), "changed.json"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		card := &deafCard{}
		for range 600 {
			time.Sleep(time.Second)
			if err := s.limit(t.Context(), card, gpu.Sample{UUID: "GPU-a", At: time.Now(), PowerLimit: 350_000}, 250_000); err != nil {
				t.Fatal(err)
			}
		}
		if card.told < 2 || card.told > 21 {
			t.Errorf("told %d times in ten minutes", card.told)
		}
	})
}
