package owner

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rigmesh/rigmesh/gpu"
)

var (
	monday = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	card   = gpu.Device{UUID: "GPU-12345678-aaaa", Model: "rtx-3090", Power: gpu.PowerLimits{Now: 350_000, Default: 350_000, Least: 100_000, Most: 350_000}}
	game   = []gpu.Process{{PID: 77, Name: "game", Kind: gpu.ProcessGraphics}}
)

func windows(t *testing.T, texts ...string) Schedule {
	t.Helper()
	s, err := ParseSchedule(texts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAScheduleCoversItsWindows(t *testing.T) {
	s := windows(t, "mon-fri 22:00-07:00", "sat", "Sun 10:00-24:00")
	for at, want := range map[string]bool{
		"Mon 21:59": false, "Mon 22:00": true, "Tue 06:59": true, "Tue 07:00": false, "Sat 00:00": true, "Sat 23:59": true,
		"Sun 00:00": false, "Sun 09:59": false, "Sun 10:00": true, "Sun 23:59": true, "Mon 00:00": false, "Sat 06:00": true,
	} {
		day, clock, _ := strings.Cut(at, " ")
		now := monday
		for now.Format("Mon") != day {
			now = now.AddDate(0, 0, 1)
		}
		hm, _ := time.Parse("15:04", clock)
		now = time.Date(now.Year(), now.Month(), now.Day(), hm.Hour(), hm.Minute(), 0, 0, time.UTC)
		if got := s.Covers(now); got != want {
			t.Errorf("%s: %t", at, got)
		}
	}
	for _, bad := range []string{"", "mon 25:00-26:00", "22:00", "mon tue 1:00-2:00", "1:00-1:00", "monday", "9-17", "1:0-2:00", "mon 1:00-2:00 x"} {
		if _, err := ParseSchedule([]string{bad}); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestTheNextHoursAreTheFirstThatAreOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := []string{"mon-fri 22:00-07:00", "sat", "sun 10:00-24:00", "09:30-17:45", "wed"}
		pick := func(name string) Schedule {
			s, _ := ParseSchedule(rapid.SliceOfNDistinct(rapid.SampledFrom(texts), 0, 2, rapid.ID[string]).Draw(t, name))
			return s
		}
		r := Rules{Hours: pick("hours"), Quiet: pick("quiet")}
		now := monday.Add(time.Duration(rapid.IntRange(0, 7*day).Draw(t, "minute")) * time.Minute)
		next := r.Opens(now)
		if next.IsZero() {
			return
		}
		if !r.Open(next) || !next.After(now) {
			t.Fatalf("%s is not open", next)
		}
		for at := now.Add(time.Minute); at.Before(next); at = at.Add(time.Minute) {
			if r.Open(at) {
				t.Fatalf("open at %s, before %s", at, next)
			}
		}
	})
}

func TestTheMostParticularWordCounts(t *testing.T) {
	r := Rules{
		Floor: 200_000, Every: Limits{Power: 300_000, Temperature: 85, Reserve: 1},
		Devices: []DeviceRule{
			{Name: "gpu-12345678", Price: new(uint64(900_000))},
			{Name: "0", Price: new(uint64(700_000)), Temperature: new(int16(0)), Lend: new(true)},
			{Name: "rtx-3090", Price: new(uint64(500_000)), Power: new(uint32(250_000)), Temperature: new(int16(70)), Lend: new(false)},
		},
	}
	want := Terms{Limits: Limits{Price: 900_000, Power: 250_000, Reserve: 1}}
	for range 2 { // in whatever order they stand
		if diff := cmp.Diff(want, r.For(card, 0)); diff != "" {
			t.Error(diff)
		}
		slices.Reverse(r.Devices)
	}
	if got := r.For(card, 1); !got.Disable || got.Price != 900_000 || got.Temperature != 70 {
		t.Errorf("%+v", got)
	}
	other := card
	other.UUID, other.Model = "GPU-99999999", "rtx-3080"
	r.Devices = append(r.Devices, DeviceRule{Name: "1", Lend: new(false)}, DeviceRule{Name: "1", Lend: new(true)}) // of two alike the first
	if got := r.For(other, 1); !got.Disable || got.Price != 200_000 || got.Power != 300_000 {
		t.Errorf("%+v", got)
	}
	r.Tariff = 2_000_000 // 2 credits per kWh at 0.25 kW
	if got := r.For(card, 0).Price; got != 900_000 {
		t.Errorf("price %d", got)
	}
	r.Devices = nil
	if got := r.For(card, 0).Price; got != 600_000 {
		t.Errorf("the electricity of 300 W at 2 credits costs 0.60 an hour, not %d", got)
	}
	r.Every.Power = 1
	if got := r.For(card, 0).Power; got != 100_000 {
		t.Errorf("a card that takes no less than 100 W is limited to %d mW", got)
	}
}

// drive steps a card once a second, as long as sight says how it looks.
func drive(r Rules, seconds int, sight func(second int, d Decision) Sight) (Decision, []string) {
	var c Card
	var d Decision
	var told []string
	for s := range seconds {
		now := monday.Add(time.Duration(s) * time.Second)
		see := sight(s, d)
		if see.Sample.At.IsZero() {
			see.Sample.At = now
		}
		before := d
		c, d = c.Step(now, r, card, 0, see)
		if d.Do != before.Do || d.Code != before.Code {
			told = append(told, d.Do.String()+" "+d.Code)
		}
	}
	return d, told
}

func TestACardThatIsTooHotIsThrottledThenPausedThenHandedBack(t *testing.T) {
	r := Rules{Every: Limits{Temperature: 80}}
	d, told := drive(r, 200, func(int, Decision) Sight { return Sight{Leased: true, Sample: gpu.Sample{Temperature: 84}} })
	if diff := cmp.Diff([]string{"lend heat", "pause heat", "hand back heat"}, told); diff != "" {
		t.Error(diff)
	}
	if d.Power != 100_000 || d.Until.IsZero() || !strings.Contains(d.Text, "84 °C") {
		t.Errorf("%+v", d)
	}
}

func TestACardThatCoolsDownGoesOnAndGetsItsWattsBack(t *testing.T) {
	r := Rules{Every: Limits{Temperature: 80}}
	var limits []uint32
	d, told := drive(r, 300, func(s int, last Decision) Sight {
		if n := len(limits); n == 0 || limits[n-1] != last.Power {
			limits = append(limits, last.Power)
		}
		degrees := int16(82)
		if s > 40 {
			degrees = 70
		}
		return Sight{Leased: true, Sample: gpu.Sample{Temperature: degrees}}
	})
	if d.Do != Lend || d.Power != 0 || d.Text != "" {
		t.Errorf("in the end %+v", d)
	}
	if diff := cmp.Diff([]string{"lend heat", "lend "}, told); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]uint32{0, 300_000, 250_000, 200_000, 250_000, 300_000, 0}, limits); diff != "" {
		t.Error(diff)
	}
}

func TestACardInDangerIsGivenUpAtOnce(t *testing.T) {
	r := Rules{Every: Limits{Temperature: 80}}
	_, told := drive(r, 3, func(s int, _ Decision) Sight {
		return Sight{Leased: true, Sample: gpu.Sample{Temperature: 60 + int16(20*s)}}
	})
	if diff := cmp.Diff([]string{"lend heat", "hand back heat"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutACeilingOrAReadingNothingIsThrottled(t *testing.T) {
	for name, s := range map[string]gpu.Sample{"no ceiling": {Temperature: 100}, "no reading": {Lacks: gpu.ReadTemperature}} {
		r := Rules{}
		if name == "no reading" {
			r.Every.Temperature = 80
		}
		if d, told := drive(r, 100, func(int, Decision) Sight { return Sight{Sample: s} }); len(told) != 0 || d.Power != 0 {
			t.Errorf("%s: %v", name, told)
		}
	}
}

func TestAnOwnerWhoPlaysGetsTheCardBackAndLendsItAgainLater(t *testing.T) {
	r := Rules{IdleOnly: true, IdleAfter: 60 * time.Second, YieldAfter: 10 * time.Second, Notice: 30 * time.Second}
	at := map[string]int{}
	var last string
	d, told := drive(r, 300, func(s int, d Decision) Sight {
		if now := d.Do.String() + " " + d.Code; now != last {
			at[now], last = s, now
		}
		see := Sight{Leased: true}
		if s == 20 || s >= 50 && s < 100 { // one moment is not a game
			see.Foreign = game
		}
		return see
	})
	if diff := cmp.Diff([]string{"withhold in-use", "lend ", "withhold in-use", "yield in-use", "lend "}, told); diff != "" || d.Do != Lend {
		t.Error(diff)
	}
	if at["yield in-use"] != 61 || at["lend "] != 161 {
		t.Errorf("yields at %d s and lends at %d s; want 61 and 161: ten seconds of play from 50 s on, and a minute after its end", at["yield in-use"], at["lend "])
	}
}

func TestKeyboardAndMouseCountAsUse(t *testing.T) {
	r := Rules{IdleOnly: true, IdleAfter: time.Minute, YieldAfter: 10 * time.Second}
	d, _ := drive(r, 30, func(s int, _ Decision) Sight { return Sight{Input: monday.Add(time.Duration(s) * time.Second)} })
	if d.Do != Yield || d.Text != "you are at the machine" {
		t.Errorf("%+v", d)
	}
}

func TestWithoutIdleOnlyAForeignProcessIsOnlyNamed(t *testing.T) {
	d, _ := drive(Rules{}, 30, func(int, Decision) Sight { return Sight{Leased: true, Foreign: game} })
	if d.Do != Lend || d.Code != "foreign" || !strings.Contains(d.Text, "game (77)") {
		t.Errorf("%+v", d)
	}
}

func TestATaskThatHoldsMemoryOfTheOwnersIsNamedAndEndedOnlyIfTheySaySo(t *testing.T) {
	big := card
	big.VRAM = 24 * gpu.GiB
	defer func(was gpu.Device) { card = was }(card)
	card = big
	r := Rules{Every: Limits{Reserve: 4 * gpu.GiB}, YieldAfter: 10 * time.Second}
	holds := func(s int, _ Decision) Sight {
		held := 20 * gpu.GiB
		if s == 5 || s >= 20 { // a moment is not for good
			held += 2 * gpu.GiB
		}
		return Sight{Leased: true, Held: held}
	}
	d, told := drive(r, 60, holds)
	if diff := cmp.Diff([]string{"lend reserve", "lend ", "lend reserve"}, told); diff != "" || d.Text != "its task holds 22 GiB of memory, and 20 GiB are lent" {
		t.Errorf("%s, %q", diff, d.Text)
	}
	r.StrictReserve = true
	_, told = drive(r, 60, holds)
	if diff := cmp.Diff([]string{"lend reserve", "lend ", "lend reserve", "yield reserve"}, told); diff != "" {
		t.Error(diff)
	}
	r.Every.Reserve = 0
	if _, told = drive(r, 60, func(int, Decision) Sight { return Sight{Leased: true, Held: 25 * gpu.GiB} }); len(told) != 0 {
		t.Errorf("nothing is kept, and still %q", told)
	}
}

func TestFaultsEndLeasesAsSoonAsTheyAreNoUse(t *testing.T) {
	for fault, want := range map[gpu.Fault][]string{
		gpu.FaultLost:   {"hand back lost"},
		gpu.FaultXid:    {"hand back xid"},
		gpu.FaultDriver: {"hand back driver"},
		gpu.FaultHang:   {"withhold hang", "hand back hang"},
		gpu.FaultCrash:  {"withhold crash"},
	} {
		_, told := drive(Rules{}, 30, func(int, Decision) Sight { return Sight{Leased: true, Fault: fault, FaultText: "it broke"} })
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s: %s", fault, diff)
		}
	}
	_, told := drive(Rules{}, 90, func(s int, _ Decision) Sight {
		if s < 4 {
			return Sight{Fault: gpu.FaultHang}
		}
		return Sight{}
	})
	if diff := cmp.Diff([]string{"withhold hang", "lend "}, told); diff != "" {
		t.Errorf("a driver that hangs for a moment: %s", diff)
	}
	if d, _ := drive(Rules{}, 90, func(int, Decision) Sight { return Sight{Fault: gpu.FaultCrash} }); d.Do != HandBack {
		t.Errorf("a reader that is away for a minute: %+v", d)
	}
}

func TestTheOwnersWordCountsAndSaysSo(t *testing.T) {
	night := Rules{Hours: windows(t, "22:00-07:00")}
	for _, c := range []struct {
		rules Rules
		see   Sight
		want  string
	}{
		{Rules{}, Sight{Paused: true}, "yield paused"},
		{Rules{}, Sight{Draining: true}, "withhold draining"},
		{Rules{Devices: []DeviceRule{{Name: "0", Lend: new(false)}}}, Sight{}, "yield disabled"},
		{night, Sight{}, "yield schedule"},
		{night, Sight{Fault: gpu.FaultLost}, "hand back lost"},
		{Rules{Quiet: windows(t, "mon")}, Sight{Draining: true}, "yield schedule"},
	} {
		d, _ := drive(c.rules, 2, func(int, Decision) Sight { return c.see })
		if got := d.Do.String() + " " + d.Code; got != c.want || d.Text == "" {
			t.Errorf("%+v: %q, %q; want %q", c.see, got, d.Text, c.want)
		}
	}
	if d, _ := drive(night, 2, func(int, Decision) Sight { return Sight{} }); d.Until.Format("Mon 15:04") != "Mon 22:00" {
		t.Errorf("again at %s", d.Until)
	}
}

// Whatever happens, a decision has a reason, never asks more of the card than it can
// do, and a card without trouble is lent in the end.
func TestEveryDecisionHasAReasonAndEndsWithItsCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rules{Every: Limits{Temperature: 80, Power: 300_000}, IdleOnly: rapid.Bool().Draw(t, "idle-only"), IdleAfter: time.Minute, YieldAfter: 5 * time.Second}
		trouble := rapid.SliceOfN(rapid.IntRange(0, 8), 1, 120).Draw(t, "what happens")
		sight := func(s int, d Decision) Sight {
			if d.Do != Lend && (d.Code == "" || d.Text == "") {
				t.Fatalf("no reason for %+v", d)
			}
			if d.Power > 300_000 || d.Power != 0 && d.Power < 100_000 {
				t.Fatalf("a limit of %d mW", d.Power)
			}
			see := Sight{Leased: true, Sample: gpu.Sample{Temperature: 60}}
			if s >= len(trouble) {
				return see
			}
			switch trouble[s] {
			case 0:
				see.Fault = gpu.FaultHang
			case 1:
				see.Fault = gpu.FaultXid
			case 2:
				see.Foreign = game
			case 3, 4, 5:
				see.Sample.Temperature = 75 + int16(5*trouble[s]-15)
			case 6:
				see.Paused = true
			}
			return see
		}
		if d, _ := drive(r, len(trouble)+600, sight); d.Do != Lend || d.Power != 300_000 || d.Code != "" {
			t.Fatalf("ten minutes after the last trouble %+v", d)
		}
	})
}

// FuzzSchedule: a schedule that was read covers what it says, whenever one asks.
func FuzzSchedule(f *testing.F) {
	for _, text := range []string{"mon-fri 22:00-07:00", "sat", "Sun 10:00-24:00", "sat,sun 00:00-00:01", "fri-mon"} {
		f.Add(text, int64(0))
	}
	f.Fuzz(func(t *testing.T, text string, minute int64) {
		s, err := ParseSchedule([]string{text})
		if err != nil {
			return
		}
		again, err := ParseSchedule(s.Windows())
		at := monday.Add(time.Duration(minute%(7*24*60)) * time.Minute)
		if err != nil || again.Covers(at) != s.Covers(at) {
			t.Errorf("%q and %q differ at %s: %v", text, s.Windows(), at, err)
		}
	})
}
