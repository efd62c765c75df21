package simulated

import (
	"math"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// figures are what the maker says of a model.
type figures struct {
	capability gpu.Version
	idle, most uint32 // milliwatts
}

// families are the figures by the beginning of a slug; the first that fits counts.
var families = []struct {
	slug string
	figures
}{
	{"gtx-10", figures{"6.1", 8_000, 180_000}}, {"gtx-16", figures{"7.5", 8_000, 125_000}},
	{"p100", figures{"6.0", 25_000, 250_000}}, {"p40", figures{"6.1", 10_000, 250_000}},
	{"v100", figures{"7.0", 25_000, 300_000}}, {"t4", figures{"7.5", 9_000, 70_000}},
	{"rtx-20", figures{"7.5", 10_000, 215_000}}, {"quadro-rtx", figures{"7.5", 12_000, 260_000}},
	{"a100", figures{"8.0", 50_000, 400_000}}, {"a30", figures{"8.0", 25_000, 165_000}},
	{"a10", figures{"8.6", 15_000, 150_000}}, {"a40", figures{"8.6", 20_000, 300_000}},
	{"rtx-3060", figures{"8.6", 10_000, 170_000}}, {"rtx-3070", figures{"8.6", 12_000, 220_000}},
	{"rtx-3080", figures{"8.6", 15_000, 320_000}}, {"rtx-3090", figures{"8.6", 18_000, 350_000}},
	{"rtx-a", figures{"8.6", 15_000, 250_000}}, {"rtx-4060", figures{"8.9", 7_000, 115_000}},
	{"rtx-4090", figures{"8.9", 18_000, 450_000}}, {"rtx-4080", figures{"8.9", 14_000, 320_000}},
	{"rtx-40", figures{"8.9", 12_000, 220_000}}, {"rtx-6000-ada", figures{"8.9", 18_000, 300_000}},
	{"l40", figures{"8.9", 25_000, 300_000}}, {"l4", figures{"8.9", 12_000, 72_000}},
	{"h100", figures{"9.0", 70_000, 700_000}}, {"h200", figures{"9.0", 75_000, 700_000}},
	{"b200", figures{"10.0", 120_000, 1_000_000}}, {"rtx-5090", figures{"12.0", 25_000, 575_000}},
	{"rtx-50", figures{"12.0", 15_000, 300_000}},
}

func figuresOf(m gpu.Model) figures {
	for _, f := range families {
		if strings.HasPrefix(m.Slug, f.slug) {
			return f.figures
		}
	}
	return figures{"7.5", 10_000, 200_000}
}

// The cooling of every simulated card: at its highest power it settles at
// ambient + rise degrees, two thirds of the way within inertia.
const (
	ambient = 28.0 // °C
	rise    = 47.0 // K at the model's highest power
	inertia = 40 * time.Second
	ripple  = 0.02 // share of the power that swings
	swing   = 7 * time.Second
)

// state is a card at a moment, and what it does from then on until the next.
type state struct {
	since  time.Time
	degree float64 // °C then
	energy float64 // mJ until then
	load   float64 // 0 to 1 from then on
	limit  uint32  // milliwatts from then on
}

// power is the mean the card draws, in milliwatts.
func (s state) power(f figures) float64 {
	return min(float64(f.idle)+s.load*float64(f.most-f.idle), float64(max(s.limit, f.idle)))
}

// throttled says whether the limit holds the card down.
func (s state) throttled(f figures) bool {
	return float64(f.idle)+s.load*float64(f.most-f.idle) > float64(s.limit)+1
}

// at is the card at a later moment, going on as it did.
func (s state) at(f figures, now time.Time) state {
	d := max(0, now.Sub(s.since))
	mean := s.power(f)
	settles := ambient + rise*mean/float64(f.most)
	s.degree = settles + (s.degree-settles)*math.Exp(-d.Seconds()/inertia.Seconds())
	s.energy += mean * (d.Seconds() + ripple*swung(s.since, now))
	s.since = s.since.Add(d)
	return s
}

// now is what the card draws at this very moment, in milliwatts.
func (s state) now(f figures) uint32 {
	return uint32(s.power(f) * (1 + ripple*math.Sin(phase(s.since))))
}

// phase is where in its swing the power is.
func phase(t time.Time) float64 {
	return 2 * math.Pi * float64(t.UnixMilli()%swing.Milliseconds()) / float64(swing.Milliseconds())
}

// swung is the integral of the swing over a time, in seconds.
func swung(from, to time.Time) float64 {
	return swing.Seconds() / (2 * math.Pi) * (math.Cos(phase(from)) - math.Cos(phase(to)))
}

// sample is what a driver would read. Processes are not made up: a tenant's has no
// place on this host's list, and nobody else's is there.
func (s state) sample(d gpu.Device, f figures) gpu.Sample {
	throttle, clock := gpu.Throttle(0), 1.0
	switch {
	case s.load == 0:
		throttle, clock = gpu.ThrottleIdle, 0.1
	case s.throttled(f):
		throttle, clock = gpu.ThrottlePower, 0.5+0.5*s.power(f)/float64(f.most)
	}
	wobble := 0.015 * (1 + math.Sin(3*phase(s.since)))
	out := gpu.Sample{
		UUID: d.UUID, At: s.since,
		Utilisation: uint8(math.Round(100 * s.load * (1 - wobble))),
		MemoryUsed:  256*gpu.MiB + uint64(0.6*s.load*float64(d.VRAM)),
		Power:       s.now(f), PowerLimit: s.limit, Energy: uint64(s.energy),
		Temperature: int16(math.Round(s.degree)),
		ClockSM:     uint32(2100 * clock), ClockMemory: uint32(810 + 8000*min(1, 2*s.load)),
		Throttle: throttle,
	}
	if d.Slice() {
		out = lacking(out)
	}
	return out
}
