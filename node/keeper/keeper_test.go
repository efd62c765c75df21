package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/job/owner"
)

// leases remember what was done to them.
type leases struct {
	mu   sync.Mutex
	done []string
	busy bool // refuses, as before a worker runs
}

func (l *leases) Yield(id string, notice time.Duration, _ string) error {
	return l.add(fmt.Sprintf("yield %s after %s", id, notice))
}

func (l *leases) Hold(id string, on bool, _ string) error {
	return l.add(fmt.Sprintf("hold %s %t", id, on))
}

func (l *leases) add(what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy {
		return errors.New("not yet")
	}
	l.done = append(l.done, what)
	return nil
}

func (l *leases) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.done
	l.done = nil
	return out
}

// scene is a keeper of some devices in a bubble.
type scene struct {
	*Keeper
	t      *testing.T
	src    *gputest.Faulty
	leases *leases
	dir    string
	stop   func()
}

func cards() []gpu.Device {
	ds := gputest.Machine("rtx-3090", "rtx-3090")
	for i := range ds {
		ds[i].Power = gpu.PowerLimits{Now: 350_000, Default: 350_000, Least: 100_000, Most: 350_000}
	}
	return ds
}

func open(t *testing.T, dir string, rules owner.Rules) *scene {
	t.Helper()
	s := &scene{t: t, src: gputest.NewFaulty(cards(), time.Now), leases: &leases{}, dir: dir}
	s.start(rules)
	return s
}

func (s *scene) start(rules owner.Rules) {
	s.t.Helper()
	s.run(rules, func(context.Context, string) ([]uint32, bool) { return []uint32{1}, true })
}

// run starts a keeper that asks own whose processes are whose.
func (s *scene) run(rules owner.Rules, own Processes) {
	books, err := gpu.NewReservations(cards())
	if err != nil {
		s.t.Fatal(err)
	}
	s.Keeper, err = New(Config{
		Devices: cards(), Books: books, Source: s.src, Rules: rules, File: filepath.Join(s.dir, "changed.json"),
		Word: filepath.Join(s.dir, "word.json"), Now: time.Now, Wall: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Serve(s.leases, own)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

func (s *scene) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *scene) uuid(i int) string { return s.Config.Devices[i].UUID }

func (s *scene) reserve(holder string, i int) {
	s.t.Helper()
	if err := s.Books.Reserve(holder, []string{s.uuid(i)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) did(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.leases.take(), cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("done to leases (-want +got):\n%s", diff)
	}
}

func TestWhatTheOwnerSaysIsDoneAtOnceAndOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{Floor: 7, Notice: 30 * time.Second})
		s.reserve("lease a", 0)
		s.pass(2 * time.Second)
		s.did("hold lease a false") // whatever was before
		if free := s.Books.Free(); len(free) != 1 || free[0].Price != 7 {
			t.Errorf("free %v", free)
		}
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		s.pass(0)
		s.did("yield lease a after 30s")
		if len(s.Books.Free()) != 0 {
			t.Error("a paused machine lends")
		}
		s.stop()
		s.start(owner.Rules{})
		if len(s.Books.Free()) != 0 {
			t.Error("a paused machine lends after a restart")
		}
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		s.pass(0)
		if len(s.Books.Free()) != 2 {
			t.Errorf("free %v", s.Books.Free())
		}
		s.stop()
	})
}

func TestRulesAreAppliedLiveDeviceByDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{Floor: 7})
		defer func() { s.stop() }()
		s.reserve("lease a", 0)
		s.pass(2 * time.Second)
		s.SetRules(owner.Rules{Floor: 9, Devices: []owner.DeviceRule{
			{Name: "0", Lend: new(false)}, {Name: "1", Price: new(uint64(20)), Reserve: new(uint64(4 * gpu.GiB)), Power: new(uint32(200_000))},
		}})
		s.pass(2 * time.Second)
		s.did("hold lease a false", "yield lease a after 0s")
		free := s.Books.Free()
		if len(free) != 1 || free[0].Price != 20 || free[0].VRAM != 20*gpu.GiB || s.src.Limit(s.uuid(1)) != 200_000 {
			t.Errorf("free %+v, limit %d", free, s.src.Limit(s.uuid(1)))
		}
		s.SetRules(owner.Rules{Floor: 1})
		s.pass(2 * time.Second)
		if free := s.Books.Free(); free[0].Price != 1 || s.src.Limit(s.uuid(1)) != 350_000 {
			t.Errorf("free %+v, limit %d", free, s.src.Limit(s.uuid(1)))
		}
	})
}

func TestHeatHoldsATaskAndGivesItBackItsWatts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{Every: owner.Limits{Temperature: 80}})
		s.reserve("lease a", 0)
		s.src.Heat(s.uuid(0), 82)
		s.pass(85 * time.Second)
		s.did("hold lease a false", "hold lease a true")
		if s.src.Limit(s.uuid(0)) != 100_000 || s.src.Limit(s.uuid(1)) != 350_000 {
			t.Errorf("limits %d and %d mW", s.src.Limit(s.uuid(0)), s.src.Limit(s.uuid(1)))
		}
		s.src.Heat(s.uuid(0), 60)
		s.pass(5 * time.Minute)
		s.did("hold lease a false")
		if got := s.src.Limit(s.uuid(0)); got != 350_000 {
			t.Errorf("limit %d mW", got)
		}
		s.stop()
	})
}

func TestALeaseOfTwoHotDevicesGoesOnWhenBothHaveCooled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{Every: owner.Limits{Temperature: 80, Power: 100_000}}) // no watts left to take
		s.reserve("lease a", 0)
		s.reserve("lease a", 1)
		s.pass(time.Second)
		s.src.Heat(s.uuid(0), 82)
		s.src.Heat(s.uuid(1), 82)
		s.pass(10 * time.Second)
		s.did("hold lease a false", "hold lease a true")
		s.src.Heat(s.uuid(0), 60)
		s.src.Heat(s.uuid(1), 77) // no longer hot, and not cool
		s.pass(time.Minute)
		s.did()
		s.src.Heat(s.uuid(1), 60)
		s.pass(time.Minute)
		s.did("hold lease a false")
		s.stop()
	})
}

func TestEverySettingIsPutBackAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, src: gputest.NewFaulty(cards(), time.Now), leases: &leases{}, dir: t.TempDir()}
		if err := s.src.SetPowerLimit(t.Context(), cards()[1].UUID, 310_000); err != nil { // the owner's own
			t.Fatal(err)
		}
		s.start(owner.Rules{Every: owner.Limits{Power: 250_000}})
		s.pass(3 * time.Second)
		if a, b := s.src.Limit(s.uuid(0)), s.src.Limit(s.uuid(1)); a != 250_000 || b != 250_000 || !Changed(s.File) {
			t.Errorf("limits %d and %d mW", a, b)
		}
		s.stop()
		if a, b := s.src.Limit(s.uuid(0)), s.src.Limit(s.uuid(1)); a != 350_000 || b != 310_000 || Changed(s.File) {
			t.Errorf("put back to %d and %d mW", a, b)
		}
	})
}

func TestADeviceThatFallsSilentIsNotLentAndItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{})
		s.reserve("lease a", 0)
		s.pass(2 * time.Second)
		s.src.Silence(s.uuid(0), true)
		s.pass(7 * time.Second)
		s.did("hold lease a false")
		if len(s.Books.Lent()) != 1 {
			t.Error("a device nobody can read is lent")
		}
		s.pass(6 * time.Second)
		s.did("yield lease a after 0s")
		s.src.Silence(s.uuid(0), false)
		s.Books.Release("lease a")
		s.pass(2 * time.Second)
		if len(s.Books.Free()) != 2 {
			t.Errorf("free %v", s.Books.Free())
		}
		s.stop()
	})
}

func TestALeaseThatOnlyBeginsIsTreatedWhenItCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{})
		s.pass(time.Second)
		s.leases.busy = true
		s.reserve("lease a", 0)
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		s.pass(2 * time.Second)
		s.leases.mu.Lock()
		s.leases.busy = false
		s.leases.mu.Unlock()
		s.pass(2 * time.Second)
		s.did("yield lease a after 0s")
		s.stop()
	})
}

func TestForeignProcessesAreThoseOfNeitherTaskNorDesktop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{IdleOnly: true, YieldAfter: 3 * time.Second, IdleAfter: time.Minute})
		s.reserve("lease a", 0)
		task, screen := gpu.Process{PID: 1, Name: "python", Kind: gpu.ProcessCompute}, gpu.Process{PID: 2, Name: "Xorg", Kind: gpu.ProcessGraphics}
		s.src.Use(s.uuid(0), task, screen)
		s.src.Use(s.uuid(1), screen)
		s.pass(90 * time.Second)
		s.did("hold lease a false")
		s.src.Use(s.uuid(0), task, screen, gpu.Process{PID: 3, Name: "game", Kind: gpu.ProcessGraphics})
		s.pass(10 * time.Second)
		s.did("yield lease a after 0s")
		if len(s.Books.Lent()) != 1 {
			t.Error("want only the other device lent")
		}
		s.stop()
	})
}

func TestATaskThatTakesWhatTheOwnerKeepsIsSeenByItsOwnProcessesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{Every: owner.Limits{Reserve: 4 * gpu.GiB}, YieldAfter: 3 * time.Second})
		s.reserve("lease a", 0)
		desktop := gpu.Process{PID: 2, Name: "Xorg", Kind: gpu.ProcessGraphics, Memory: 3 * gpu.GiB}
		s.src.Use(s.uuid(0), gpu.Process{PID: 1, Name: "Xorg", Kind: gpu.ProcessCompute, Memory: 20 * gpu.GiB}, desktop)
		s.pass(10 * time.Second)
		if d := s.Devices()[0].Decision; d.Code != "" {
			t.Errorf("%+v of a task that holds what it was lent", d)
		}
		s.src.Use(s.uuid(0), gpu.Process{PID: 1, Name: "Xorg", Kind: gpu.ProcessCompute, Memory: 21 * gpu.GiB}, desktop)
		s.pass(10 * time.Second)
		if d := s.Devices()[0].Decision; d.Do != owner.Lend || d.Code != "reserve" {
			t.Errorf("%+v", d)
		}
		s.did("hold lease a false")
		s.SetRules(owner.Rules{Every: owner.Limits{Reserve: 4 * gpu.GiB}, YieldAfter: 3 * time.Second, StrictReserve: true})
		s.pass(10 * time.Second)
		s.did("yield lease a after 0s")
		s.stop()
	})
}

func TestSamplesAreThoseOfTheDevicesAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), owner.Rules{})
		s.pass(10 * time.Second)
		all := s.Samples([]string{s.uuid(0), s.uuid(1)}, time.Now().Add(-4500*time.Millisecond))
		if len(all) != 10 || all[0].UUID != s.uuid(0) || !all[0].At.Before(all[4].At) {
			t.Errorf("%d samples", len(all))
		}
		s.stop()
	})
}

func TestTheRingKeepsTheNewest(t *testing.T) {
	var r ring
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3*kept + 7 {
		r.add(gpu.Sample{At: start.Add(time.Duration(i) * time.Second)}, start)
	}
	all := r.since(time.Time{})
	if len(all) != kept || !r.newest().At.Equal(all[kept-1].At) {
		t.Fatalf("%d samples, the newest of %s", len(all), r.newest().At)
	}
	for i := 1; i < len(all); i++ {
		if !all[i].At.After(all[i-1].At) {
			t.Fatalf("sample %d is not later than the one before", i)
		}
	}
}
