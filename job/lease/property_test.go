package lease

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// A machine of these tests has a clock of its own, which is wrong and runs wrong.
type machine struct {
	*side
	skew time.Duration
	ppm  time.Duration // ahead in each million
}

// at is what its clock shows after so much of everybody's time.
func (m *machine) at(t time.Duration) time.Time { return epoch.Add(m.skew + t + t*m.ppm/1_000_000) }

// when is the first moment at which its clock shows at least that; 0: never.
func (m *machine) when(local time.Time) time.Duration {
	if local.IsZero() {
		return 0
	}
	t := local.Sub(epoch.Add(m.skew))
	t -= t * m.ppm / (1_000_000 + m.ppm)
	return t.Truncate(time.Millisecond) + time.Millisecond
}

// A gap is a time in which nothing arrives, because the two are parted or because the
// worker's machine sleeps.
type gap struct {
	from, to time.Duration
	asleep   bool
}

// flight is a message under way.
type flight struct {
	message
	arrives time.Duration
}

// random is a lease between two machines, under terms, delays and gaps that are drawn.
type random struct {
	t       *rapid.T
	m       [3]*machine // by role
	gaps    []gap
	now     time.Duration
	flights []flight
	ran     time.Duration // how long the task ran, by the worker's clock
	ticks   uint64
}

func drawLease(t *rapid.T) *random {
	ms := func(from, to time.Duration, name string) int64 {
		return rapid.Int64Range(from.Milliseconds(), to.Milliseconds()).Draw(t, name)
	}
	terms := testTerms()
	terms.IntervalMs = ms(time.Second, time.Hour, "interval")
	terms.GraceMs = ms(span(terms.IntervalMs)/8, span(terms.IntervalMs), "grace")
	terms.MaxUnpaid = rapid.Uint32Range(2, 5).Draw(t, "max_unpaid")
	terms.AbsentGraceMs = ms(6*span(terms.IntervalMs), 40*span(terms.IntervalMs), "absent_grace")
	if rapid.Bool().Draw(t, "stranger") {
		terms.FirstIntervalMs = ms(span(terms.IntervalMs)/10, span(terms.IntervalMs), "first_interval")
	}
	const day = 24 * time.Hour
	terms.StartByMs, terms.MaxDurationMs = epoch.Add(4*day).UnixMilli(), (60 * day).Milliseconds()
	terms.MaxAmount = 1 << 50
	r := &random{t: t}
	for _, role := range []Role{Worker, Requester} {
		m := &machine{
			side: &side{config: testConfig(role, terms)},
			skew: time.Duration(ms(-day, day, role.String()+" skew")) * time.Millisecond,
			ppm:  time.Duration(rapid.Int64Range(-300, 300).Draw(t, role.String()+" ppm")),
		}
		m.lease = must(New(m.config, m.at(0)))
		r.m[role] = m
	}
	return r
}

func span(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// drawGaps parts the two now and then, for as long as longest at most.
func (r *random) drawGaps(end, longest time.Duration) {
	interval := r.m[Worker].lease.interval
	for at := 2 * interval; at < end; {
		at += time.Duration(rapid.Int64Range(4*interval.Milliseconds(), end.Milliseconds()/2).Draw(r.t, "until a gap")) * time.Millisecond
		long := time.Duration(rapid.Int64Range(1, longest.Milliseconds()).Draw(r.t, "gap")) * time.Millisecond
		r.gaps = append(r.gaps, gap{at, at + long, rapid.Bool().Draw(r.t, "asleep")})
		at += long
	}
}

func (r *random) in() *gap {
	for i, g := range r.gaps {
		if g.from <= r.now && r.now < g.to {
			return &r.gaps[i]
		}
	}
	return nil
}

// next is when something happens next, and no later than end.
func (r *random) next(end time.Duration) time.Duration {
	g, at := r.in(), end
	earlier := func(t time.Duration) {
		if t > 0 {
			at = min(at, max(t, r.now))
		}
	}
	for _, role := range []Role{Worker, Requester} {
		if role == Requester || g == nil || !g.asleep {
			earlier(r.m[role].when(r.m[role].lease.Deadline()))
		}
	}
	for _, f := range r.flights {
		earlier(f.arrives)
	}
	for _, g := range r.gaps {
		for _, edge := range []time.Duration{g.from, g.to} {
			if edge > r.now {
				earlier(edge)
			}
		}
	}
	return at
}

// run lets a lease go on until end.
func (r *random) run(end time.Duration) {
	for r.now < end {
		was, at := r.in(), r.next(end)
		w := r.m[Worker]
		if l := w.lease; l.phase == phaseLive && l.worker.meter.running() && (was == nil || !was.asleep) {
			r.ran += w.at(at).Sub(w.at(r.now))
		}
		r.now = at
		if g := r.in(); was != g && was != nil {
			r.mend(*was)
		}
		r.deliver()
		for _, role := range []Role{Worker, Requester} {
			m := r.m[role]
			if d := m.lease.Deadline(); !d.IsZero() && !m.at(r.now).Before(d) && (role == Requester || r.in() == nil || !r.in().asleep) {
				r.ticks++
				offset := time.Duration(rapid.Int64Range(0, m.lease.interval.Milliseconds()).Draw(r.t, "offset")) * time.Millisecond
				r.step(role, Tick{Random: randomFor(r.ticks, offset)})
			}
		}
		r.check()
	}
}

// mend ends a gap: what waits is sent again.
func (r *random) mend(g gap) {
	if w := r.m[Worker]; g.asleep {
		r.step(Worker, Slept{Total: w.lease.Asleep() + w.at(g.to).Sub(w.at(g.from))})
	}
	for _, role := range []Role{Worker, Requester} {
		for _, s := range r.m[role].lease.Pending() {
			r.send(message{from: role, signed: s})
		}
	}
}

func (r *random) send(m message) {
	if r.in() != nil {
		return
	}
	// Some milliseconds, or an eighth of an interval at most: always within the grace.
	longest := r.m[Worker].lease.first.Milliseconds() / 32
	delay := time.Duration(rapid.Int64Range(1, max(1, longest)).Draw(r.t, "delay")) * time.Millisecond
	r.flights = append(r.flights, flight{m, r.now + delay})
}

// deliver brings what has arrived, in the order in which it was sent on each way.
func (r *random) deliver() {
	for i := 0; i < len(r.flights); {
		f := r.flights[i]
		if f.arrives > r.now {
			i++
			continue
		}
		r.flights = slices.Delete(r.flights, i, i+1)
		if r.in() != nil {
			continue
		}
		ev, err := f.event(nil)
		if err != nil {
			r.t.Fatal(err)
		}
		r.step(otherSide(f.from), ev)
	}
}

func (r *random) step(role Role, ev Event) {
	m := r.m[role]
	effects, err := m.step(m.at(r.now), ev)
	if err != nil {
		return // a late one
	}
	for _, ef := range effects {
		if out, ok := messageOf(role, ef); ok {
			r.send(out)
		}
		if _, ok := ef.(StartTask); ok {
			r.step(Worker, TaskRunning{})
		}
	}
}

// check holds what must always be so against the two sides.
func (r *random) check() {
	w, q := r.m[Worker].lease, r.m[Requester].lease
	paid := func(l Lease) time.Duration { return time.Duration(l.CreditMS()) * time.Millisecond }
	const rounding = 100 * time.Millisecond // of clocks to milliseconds, over all the steps
	if over := r.ran - paid(w); over > time.Duration(w.maxUnpaid())*time.Millisecond+rounding && !w.state.Ended() {
		r.t.Fatalf("after %s: %s were served and not paid for", r.now, over)
	}
	if over := paid(q) - r.ran; over > rounding {
		r.t.Fatalf("after %s: %s were paid for and not served", r.now, over)
	}
	for _, l := range []Lease{w, q} {
		if l.state == Fault {
			r.t.Fatalf("after %s the %s accuses an honest side: %s", r.now, l.Role, l.reason)
		}
	}
	if w.chain.head != q.chain.head && w.chain.head != q.prior.head && q.phase != phaseEnded {
		r.t.Fatalf("after %s the two have different histories", r.now)
	}
}

// Whatever the terms, the clocks, the delays and the silences are: neither side is ever
// ahead of the other by more than the terms allow, silence that is shorter than the
// grace ends nothing, and both agree on what was served.
func TestEveryScheduleIsBilledForWhatWasServed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawLease(t)
		w := r.m[Worker].lease
		end := 30 * w.interval
		// Before a gap there may be no heartbeat for 1.6 intervals, and for as long after it.
		r.drawGaps(end, w.absentGrace-4*w.interval-w.grace)
		r.run(end)
		for _, g := range r.gaps {
			end = max(end, g.to)
		}
		r.run(end + 4*w.interval) // it is quiet in the end
		r.step(Worker, TaskExited{Exit: &leasev1.Exit{}})
		r.run(r.now + 2*w.interval)
		for _, role := range []Role{Worker, Requester} {
			l := r.m[role].lease
			off := r.ran - time.Duration(l.CreditMS())*time.Millisecond
			if l.State() != Closed || off.Abs() > time.Second {
				t.Fatalf("the %s is %s, %s; off by %s of %s, with gaps %v", role, l.State(), l.Reason(), off, r.ran, r.gaps)
			}
		}
	})
}
