package simulated

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/gpu"
)

// clock is a time that a test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func (c *clock) pass(d time.Duration) { c.Time = c.Add(d) }

func open(t *testing.T, list string) (*Source, *clock, *float64, []gpu.Device) {
	t.Helper()
	m, err := Make(list, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	c, load := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, new(float64)
	s, err := NewSource(m, c.now, func(string) float64 { return *load }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, c, load, m.Devices
}

func read(t *testing.T, s *Source) gpu.Sample {
	t.Helper()
	all, err := s.Sample(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestACardWarmsUpUnderLoadAndCoolsDownAfterIt(t *testing.T) {
	s, c, load, _ := open(t, "rtx-4090")
	cold := read(t, s)
	*load = 1
	read(t, s)
	var last gpu.Sample
	for range 300 {
		c.pass(time.Second)
		now := read(t, s)
		if last.Temperature > now.Temperature || now.Temperature > 80 {
			t.Fatalf("%d °C after %d °C under a steady load", now.Temperature, last.Temperature)
		}
		last = now
	}
	if last.Temperature < 70 || last.Temperature <= cold.Temperature+20 || last.Utilisation < 95 || last.Power < 430_000 || last.Power > 460_000 {
		t.Errorf("a busy card reads %+v", last)
	}
	*load = 0
	read(t, s)
	c.pass(5 * time.Second)
	soon := read(t, s)
	c.pass(10 * time.Minute)
	later := read(t, s)
	if soon.Temperature < 60 || later.Temperature > 35 || later.Power > 20_000 || later.Utilisation != 0 || later.Throttle != gpu.ThrottleIdle {
		t.Errorf("%d °C soon after, %d °C later; idle reads %+v", soon.Temperature, later.Temperature, later)
	}
}

func TestTheEnergyCounterIsThePowerOverTime(t *testing.T) {
	s, c, load, _ := open(t, "rtx-3060")
	*load = 0.7
	first := read(t, s)
	var summed float64
	for range 600 {
		summed += float64(read(t, s).Power)
		c.pass(time.Second)
	}
	counted := float64(read(t, s).Energy - first.Energy)
	if math.Abs(counted-summed) > summed/100 {
		t.Errorf("counted %.0f mJ, the power adds up to %.0f mJ", counted, summed)
	}
}

// How often a card was read must not change what it reads.
func TestReadingOftenChangesNothing(t *testing.T) {
	often, c1, load1, _ := open(t, "rtx-3080")
	seldom, c2, load2, _ := open(t, "rtx-3080")
	*load1, *load2 = 0.9, 0.9
	read(t, often)
	read(t, seldom)
	for range 100 {
		c1.pass(time.Second)
		read(t, often)
	}
	c2.pass(100 * time.Second)
	a, b := read(t, often), read(t, seldom)
	if d := int64(a.Energy) - int64(b.Energy); d < -2 || d > 2 {
		t.Errorf("%d mJ and %d mJ", a.Energy, b.Energy)
	}
	a.Energy, b.Energy = 0, 0
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

func TestAPowerLimitHoldsACardDown(t *testing.T) {
	s, c, load, devices := open(t, "rtx-4090")
	*load = 1
	read(t, s)
	if err := s.SetPowerLimit(t.Context(), devices[0].UUID, 200_000); err != nil {
		t.Fatal(err)
	}
	c.pass(5 * time.Minute)
	got := read(t, s)
	if got.Power > 205_000 || got.PowerLimit != 200_000 || got.Throttle != gpu.ThrottlePower || got.Temperature > 55 {
		t.Errorf("limited to 200 W it reads %+v", got)
	}
	for _, bad := range []uint32{1, 451_000} {
		if s.SetPowerLimit(t.Context(), devices[0].UUID, bad) == nil {
			t.Errorf("a limit of %d mW was taken", bad)
		}
	}
	if s.SetPowerLimit(t.Context(), "GPU-none", 200_000) == nil {
		t.Error("a limit was set on a device that is not there")
	}
}

type kept map[string]uint32

func (k *kept) Load() (map[string]uint32, error) { return *k, nil }
func (k *kept) Save(set map[string]uint32) error { *k = set; return nil }

func TestACardKeepsItsLimitWhenItsReaderIsGone(t *testing.T) {
	m, _ := Make("rtx-4090", nil)
	file := kept{}
	idle := func(string) float64 { return 0 }
	s, _ := NewSource(m, time.Now, idle, &file)
	if err := s.SetPowerLimit(t.Context(), m.Devices[0].UUID, 300_000); err != nil {
		t.Fatal(err)
	}
	again, err := NewSource(m, time.Now, idle, &file)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, again).PowerLimit; got != 300_000 {
		t.Errorf("%d mW", got)
	}
}

func TestEveryModelAndMachineHasFiguresAndSensibleReadings(t *testing.T) {
	names := Machines()
	for _, m := range gpu.Catalog() {
		names = append(names, m.Slug)
	}
	for _, name := range names {
		s, c, load, devices := open(t, name)
		*load = 1
		read(t, s)
		c.pass(time.Minute)
		all, err := s.Sample(t.Context())
		if err != nil || len(all) != len(devices) {
			t.Fatalf("%s: %d samples of %d devices, %v", name, len(all), len(devices), err)
		}
		for i, got := range all {
			d := devices[i]
			if !d.Capability.Valid() || !d.Slice() && d.Power.Most < 50_000 || got.MemoryUsed > d.VRAM || got.Temperature < 40 || got.Temperature > 85 {
				t.Errorf("%s: device %+v reads %+v", name, d, got)
			}
		}
	}
}
