package owner

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

const (
	// blind is how long a device may not be read while its lease goes on: a driver that
	// hangs for a moment, or a reader that is started anew, breaks no task.
	blind = 5 * time.Second
	// unseen is the same when only our own reader is at fault.
	unseen = time.Minute
	// stale is how old a reading may be before the device counts as one that does not answer.
	stale = 5 * time.Second
)

// Card is one device under its owner's rules. The zero Card begins.
type Card struct {
	heat    heat
	faulty  time.Time // since when it has a fault; zero while it has none
	fault   gpu.Fault
	used    time.Time // since when others use it; zero while nobody does
	quiet   time.Time // since when nobody does; zero while somebody does
	yielded bool      // others use it, and it has not been at rest for long enough since
	greedy  time.Time // since when its task holds more memory than is lent; zero while it does not
	lent    uint64    // bytes of its memory
}

// Step takes what is seen of a device now. Position is its place in its machine.
func (c Card) Step(now time.Time, r Rules, d gpu.Device, position int, s Sight) (Card, Decision) {
	terms := r.For(d, position)
	c = c.see(now, r, d, terms, s)
	out := Decision{Terms: terms, Notice: r.Notice, Power: terms.Power}
	for _, rule := range []func(time.Time, Rules, Terms, Sight) Decision{
		c.broken, c.hot, c.told, c.scheduled, c.shared, c.reserved,
	} {
		// The first of the strongest is the one to name.
		if got := rule(now, r, terms, s); got.Do > out.Do || out.Code == "" && got.Code != "" {
			out.Do, out.Code, out.Text, out.Until = got.Do, got.Code, got.Text, got.Until
		}
	}
	if limit := c.heat.limit; limit > 0 && (out.Power == 0 || limit < out.Power) {
		out.Power = limit
	}
	return c, out
}

// see carries on what is remembered.
func (c Card) see(now time.Time, r Rules, d gpu.Device, t Terms, s Sight) Card {
	if s.Fault != c.fault {
		c.fault, c.faulty = s.Fault, time.Time{}
		if s.Fault != gpu.FaultNone {
			c.faulty = now
		}
	}
	power := d.Power
	power.Most = cmp.Or(min(t.Power, power.Most), power.Most)
	c.heat = c.heat.step(now, s.Sample, t.Temperature, power)
	if c.lent = d.VRAM - min(d.VRAM, t.Reserve); t.Reserve > 0 && s.Leased && s.Held > c.lent {
		c.greedy = cmp.Or(c.greedy, now)
	} else {
		c.greedy = time.Time{}
	}
	if r.IdleOnly && (len(s.Foreign) > 0 || recent(now, s.Input, r.YieldAfter)) {
		c.used, c.quiet = cmp.Or(c.used, now), time.Time{}
		c.yielded = c.yielded || now.Sub(c.used) >= r.YieldAfter
		return c
	}
	c.used, c.quiet = time.Time{}, cmp.Or(c.quiet, now)
	c.yielded = c.yielded && r.IdleOnly && now.Sub(c.quiet) < r.IdleAfter
	return c
}

// recent says whether something was less than a while ago.
func recent(now, at time.Time, while time.Duration) bool {
	return !at.IsZero() && now.Sub(at) < max(while, time.Second)
}

// broken is about devices that cannot do their work.
func (c Card) broken(now time.Time, _ Rules, _ Terms, s Sight) Decision {
	if s.Fault == gpu.FaultNone {
		return Decision{}
	}
	text := cmp.Or(s.FaultText, "out of service: "+s.Fault.String())
	out := Decision{Do: HandBack, Code: s.Fault.String(), Text: text}
	lasts := now.Sub(c.faulty)
	if s.Fault == gpu.FaultHang && lasts < blind || s.Fault == gpu.FaultCrash && lasts < unseen {
		out.Do = Withhold
	}
	return out
}

func (c Card) hot(now time.Time, _ Rules, t Terms, s Sight) Decision {
	do, text := c.heat.decide(s.Sample, t.Temperature)
	if text == "" {
		return Decision{}
	}
	out := Decision{Do: do, Code: "heat", Text: text}
	if do == HandBack {
		out.Until = c.heat.since.Add(rest)
	}
	return out
}

// told is about what the owner said in so many words.
func (c Card) told(_ time.Time, _ Rules, t Terms, s Sight) Decision {
	switch {
	case t.Disable:
		return Decision{Do: Yield, Code: "disabled", Text: "not lent, by your settings"}
	case s.Paused:
		return Decision{Do: Yield, Code: "paused", Text: "paused by you; rigmesh resume lends it again"}
	case s.Draining:
		return Decision{Do: Withhold, Code: "draining", Text: "takes no new lease; rigmesh resume lends it again"}
	}
	return Decision{}
}

func (c Card) scheduled(now time.Time, r Rules, _ Terms, _ Sight) Decision {
	if r.Open(now) {
		return Decision{}
	}
	out := Decision{Do: Yield, Code: "schedule", Text: "outside the hours at which you lend", Until: r.Opens(now)}
	if !out.Until.IsZero() {
		out.Text += "; again at " + out.Until.Format("Mon 15:04")
	}
	return out
}

// shared is about others that use the device. It is taken back only when they
// have done so for a while, and lent again only when they have not for a while.
func (c Card) shared(_ time.Time, r Rules, _ Terms, s Sight) Decision {
	switch {
	case c.yielded && len(s.Foreign) > 0:
		return Decision{Do: Yield, Code: "in-use", Text: "you use it: " + names(s.Foreign)}
	case c.yielded && !c.used.IsZero():
		return Decision{Do: Yield, Code: "in-use", Text: "you are at the machine"}
	case c.yielded:
		return Decision{Do: Yield, Code: "in-use", Text: "you used it a moment ago", Until: c.quiet.Add(r.IdleAfter)}
	case !c.used.IsZero():
		return Decision{Do: Withhold, Code: "in-use", Text: "somebody begins to use it"}
	case len(s.Foreign) > 0:
		return Decision{Do: Lend, Code: "foreign", Text: "also used by " + names(s.Foreign) + ", and lent all the same: idle-only is off"}
	}
	return Decision{}
}

// reserved is about a task that holds memory which its owner keeps. Nothing but this
// look at it keeps it from doing so.
func (c Card) reserved(now time.Time, r Rules, _ Terms, s Sight) Decision {
	if c.greedy.IsZero() {
		return Decision{}
	}
	out := Decision{Code: "reserve", Text: fmt.Sprintf("its task holds %s of memory, and %s are lent", gpu.FormatVRAM(s.Held), gpu.FormatVRAM(c.lent))}
	if r.StrictReserve && now.Sub(c.greedy) >= r.YieldAfter {
		out.Do = Yield
	}
	return out
}

func names(ps []gpu.Process) string {
	var out []string
	for _, p := range ps {
		out = append(out, fmt.Sprintf("%s (%d)", cmp.Or(p.Name, "a process"), p.PID))
	}
	return strings.Join(out, ", ")
}

// Silent says whether a device was not read for too long, and what to call that.
func Silent(now, last time.Time) (gpu.Fault, string) {
	if d := now.Sub(last); d > stale {
		return gpu.FaultHang, fmt.Sprintf("no reading for %s", d.Round(time.Second))
	}
	return gpu.FaultNone, ""
}
