package lease

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// The tests in this file try everything that can happen to a short lease: any
// order of delivery, any duplication, loss of all that is under way, a crash of
// either side at any moment. They step the real state machine, not a model.

var wide = flag.Bool("wide", false, "search more of what can happen to a lease")

// maxWorlds is far above what the bounds below lead to.
const maxWorlds = 150_000

// bounds keep the search finite.
type bounds struct {
	intervals uint64
	losses    int
	crashes   int // of each side
	closing   bool
	rules     rules
	forgetful bool // not durable before send: a crash loses the last statement
	noResync  bool // resyncs never arrive
}

// world is one state of everything.
type world struct {
	now     time.Time
	sides   [3]Lease // by role
	prints  [3][32]byte
	before  [3]Lease // as it was before it last signed something
	soup    map[string]*packet
	losses  int
	crashes [3]int
	exited  bool
	said    map[string]string // slot -> statement, of everything ever signed
	ghost   [32]byte          // a hash over soup and said
	bad     string            // the first thing that must never be
}

// packet is a message that was sent, opened once.
type packet struct {
	to    Role
	kind  string
	event Event
}

// stepKey is everything that the outcome of a step depends on, so that no step
// is taken twice.
type stepKey struct {
	print [32]byte
	nowMs int64
	event string
}

type stepped struct {
	lease   Lease
	effects []Effect
	err     error
	print   [32]byte
}

type explorer struct {
	t *testing.T
	bounds
	packets map[string]*packet
	sign    map[string]*marketv1.Signed
	worlds  []*world
	from    [][]int // predecessors
	index   map[[32]byte]int
	steps   map[stepKey]stepped
}

func explore(t *testing.T, b bounds) *explorer {
	x := &explorer{t: t, bounds: b, packets: map[string]*packet{}, sign: map[string]*marketv1.Signed{}, index: map[[32]byte]int{}, steps: map[stepKey]stepped{}}
	w := &world{now: epoch, soup: map[string]*packet{}, said: map[string]string{}}
	terms := testTerms()
	terms.StartByMs = epoch.Add(time.Hour).UnixMilli()
	for _, r := range []Role{Worker, Requester} {
		l := newLease(r, terms)
		l.off, l.Sign = b.rules, x.signer(r)
		w.sides[r], w.before[r], w.prints[r] = l, l, fingerprint(l)
	}
	x.add(w, -1)
	for i := 0; i < len(x.worlds); i++ {
		if len(x.worlds) > maxWorlds {
			t.Fatalf("more than %d states: the bounds are too wide", maxWorlds)
		}
		if x.worlds[i].bad != "" {
			return x
		}
		x.expand(i)
	}
	return x
}

// signer remembers signatures: the same bytes come up again and again.
func (x *explorer) signer(r Role) func(statement.Type, []byte) *marketv1.Signed {
	return func(t statement.Type, payload []byte) *marketv1.Signed {
		key := r.String() + string(t) + string(payload)
		if x.sign[key] == nil {
			x.sign[key] = statement.SignPayload(keyOf(r), t, payload)
		}
		return x.sign[key]
	}
}

func (x *explorer) add(w *world, from int) {
	key := w.key()
	i, known := x.index[key]
	if !known {
		i = len(x.worlds)
		x.index[key] = i
		x.worlds = append(x.worlds, w)
		x.from = append(x.from, nil)
	}
	if from >= 0 {
		x.from[i] = append(x.from[i], from)
	}
}

func (w *world) key() [32]byte {
	h := sha256.New()
	h.Write(w.prints[Worker][:])
	h.Write(w.prints[Requester][:])
	h.Write(w.ghost[:])
	fmt.Fprint(h, w.now.UnixMilli(), w.losses, w.crashes, w.exited, w.bad)
	return [32]byte(h.Sum(nil))
}

// note adds to, or takes from, a hash over sets.
func (w *world) note(what string) {
	for i, b := range sha256.Sum256([]byte(what)) {
		w.ghost[i] ^= b
	}
}

func (w *world) clone() *world {
	c := *w
	c.soup, c.said = maps.Clone(w.soup), maps.Clone(w.said)
	return &c
}

// expand adds every world that may come next.
func (x *explorer) expand(i int) {
	w := x.worlds[i]
	for _, k := range slices.Sorted(maps.Keys(w.soup)) {
		p := w.soup[k]
		x.try(i, p.to, k, p.event)
	}
	x.pass(i)
	if w.losses < x.losses && len(w.soup) > 0 {
		c := w.clone()
		c.losses++
		for key := range c.soup {
			c.note(key)
		}
		c.soup = map[string]*packet{}
		x.add(c, i)
	}
	if x.closing && !w.exited && w.sides[Worker].worker.running.After(epoch.Add(-1)) {
		c := w.clone()
		c.exited = true
		if x.step(c, Worker, "exit", TaskExited{Exit: &leasev1.Exit{}}, true) {
			x.add(c, i)
		}
	}
	x.forget(i)
}

// try delivers an event, and delivers it to a side that crashes before it does
// anything about it.
func (x *explorer) try(i int, r Role, name string, ev Event) {
	c := x.worlds[i].clone()
	if !x.step(c, r, name, ev, true) {
		return
	}
	x.add(c, i)
	if c.crashes[r] < x.crashes && !x.forgetful {
		d := x.worlds[i].clone()
		d.crashes[r]++
		x.step(d, r, name, ev, false)
		x.pending(d, r)
		x.add(d, i)
	}
}

// pending is what a side sends when it is back.
func (x *explorer) pending(w *world, r Role) {
	for _, s := range w.sides[r].Pending() {
		x.put(w, message{from: r, signed: s})
	}
}

// pass lets time go on to the next deadline, and ticks there.
func (x *explorer) pass(i int) {
	w := x.worlds[i]
	var next time.Time
	for _, r := range []Role{Worker, Requester} {
		d := w.sides[r].Deadline()
		if !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = d
		}
	}
	if next.IsZero() || !next.Before(epoch.Add(time.Duration(x.intervals)*time.Minute)) {
		return
	}
	c := w.clone()
	if next.After(c.now) {
		c.now = next
	}
	for _, r := range []Role{Worker, Requester} {
		if d := c.sides[r].Deadline(); !d.IsZero() && !d.After(c.now) {
			n := uint64(c.now.Sub(epoch)) + uint64(c.crashes[r])
			x.step(c, r, fmt.Sprint("tick", n), Tick{Random: randomFor(n, 20*time.Second)}, true)
		}
	}
	x.add(c, i)
}

// forget crashes a side whose last statement was not durable.
func (x *explorer) forget(i int) {
	for _, r := range []Role{Worker, Requester} {
		if w := x.worlds[i]; x.forgetful && w.crashes[r] < x.crashes {
			c := w.clone()
			c.crashes[r]++
			c.sides[r], c.prints[r] = c.before[r], fingerprint(c.before[r])
			x.add(c, i)
		}
	}
}

// step takes one step of one side and says whether anything came of it.
func (x *explorer) step(w *world, r Role, name string, ev Event, alive bool) bool {
	key := stepKey{w.prints[r], w.now.UnixMilli(), name}
	done, known := x.steps[key]
	if !known {
		done.lease, done.effects, done.err = w.sides[r].Step(w.now, ev)
		done.print = fingerprint(done.lease)
		x.steps[key] = done
	}
	if done.err != nil {
		return false
	}
	changed := done.print != w.prints[r]
	if len(Statements(done.effects)) > 0 {
		w.before[r] = w.sides[r]
	}
	w.sides[r], w.prints[r] = done.lease, done.print
	for _, ef := range done.effects {
		w.judge(r, ef)
		if _, ok := ef.(StartTask); ok && alive {
			x.step(w, Worker, "running", TaskRunning{}, true)
		}
		if m, ok := messageOf(r, ef); ok && alive && x.put(w, m) {
			changed = true
		}
	}
	w.compare()
	return changed
}

// put adds a message to what is under way, and says whether it is new there.
func (x *explorer) put(w *world, m message) bool {
	if m.kind() == "resync" && x.noResync {
		return false
	}
	key := m.kind()
	switch {
	case m.signed != nil:
		key += string(m.signed.Signature)
	case m.resync != nil:
		key += m.from.String() + string(m.resync.GetAck().GetSignature()) + string(m.resync.GetSlotBeat().GetSignature())
	}
	if w.soup[key] != nil {
		return false
	}
	if x.packets[key] == nil {
		ev, err := m.event(nil)
		if err != nil {
			x.t.Fatal(err)
		}
		x.packets[key] = &packet{to: otherSide(m.from), kind: m.kind(), event: ev}
	}
	w.soup[key] = x.packets[key]
	w.note(key)
	return true
}

// judge looks at what a side is about to say.
func (w *world) judge(r Role, ef Effect) {
	send, ok := ef.(Send)
	if !ok {
		return
	}
	slot, payload := slotOf(r, send.Statement), string(send.Statement.Payload)
	said, again := w.said[slot]
	if again && said != payload {
		w.fail("two statements for one slot: " + strings.TrimRight(slot, "0123456789 "))
	} else if !again && strings.HasPrefix(slot, "ack") {
		interval := w.sides[Requester].chain.interval
		if !w.now.Before(w.sides[Requester].closes(interval)) {
			w.fail("ack for a closed interval")
		}
	}
	if !again {
		w.said[slot] = payload
		w.note(slot + payload)
	}
}

// slotOf names what a side may say only one thing about.
func slotOf(r Role, s *marketv1.Signed) string {
	switch c := decoded(s).(type) {
	case *leasev1.Challenge:
		return fmt.Sprint("challenge ", c.Interval)
	case *leasev1.Beat:
		return fmt.Sprint("beat ", c.Interval)
	case *leasev1.Ack:
		return fmt.Sprint("ack ", c.Seq)
	}
	return "close"
}

// compare looks at both sides together.
func (w *world) compare() {
	a, b := w.sides[Worker], w.sides[Requester]
	if a.chain.head != b.chain.head && a.chain.head != b.prior.head {
		w.fail("histories differ")
	}
	if first := b.requester.first; b.chain.beats > 0 && b.chain.creditMS > uint64(w.now.Sub(first).Milliseconds()) {
		w.fail("more credit than time")
	}
	if a.chain.beats > b.chain.beats && a.phase != phaseEnded {
		w.fail("the worker counts a beat that the requester does not")
	}
}

func (w *world) fail(what string) {
	if w.bad == "" {
		w.bad = what
	}
}

// violation is the first bad thing found, or a state from which another beat,
// or the close, can no longer be co-signed though there is time.
func (x *explorer) violation() string {
	for _, w := range x.worlds {
		if w.bad != "" {
			return w.bad
		}
	}
	for n := range x.intervals {
		if x.stuck(func(w *world) bool { return w.sides[Requester].Beats() > n || w.sides[Requester].state == Closed },
			func(w *world) bool {
				r := w.sides[Requester]
				return r.Beats() == n && r.intervalAt(w.now) < x.intervals-1 && !w.exited
			}) {
			return fmt.Sprintf("beat %d can no longer be co-signed", n)
		}
	}
	if x.stuck(func(w *world) bool { return w.sides[Worker].state == Closed },
		func(w *world) bool { return w.exited && w.sides[Requester].intervalAt(w.now) < x.intervals-2 }) {
		return "the close can no longer be co-signed"
	}
	return ""
}

// stuck says whether a world that matters cannot reach any that is good.
func (x *explorer) stuck(good, matters func(*world) bool) bool {
	can := make([]bool, len(x.worlds))
	var queue []int
	for i, w := range x.worlds {
		if good(w) {
			can[i] = true
			queue = append(queue, i)
		}
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, p := range x.from[i] {
			if !can[p] {
				can[p] = true
				queue = append(queue, p)
			}
		}
	}
	for i, w := range x.worlds {
		if matters(w) && !can[i] && beatsLeft(w) {
			return true
		}
	}
	return false
}

// beatsLeft leaves out the worlds in which this beat was never the next one.
func beatsLeft(w *world) bool { return w.sides[Requester].phase != phaseEnded || w.exited }

func TestNoOrderOfEventsBreaksALease(t *testing.T) {
	for _, c := range []struct {
		name string
		bounds
	}{
		{"losses", bounds{intervals: 3, losses: 2}},
		{"crashes", bounds{intervals: 3, losses: 1, crashes: 1}},
		{"closing", bounds{intervals: 3, losses: 2, closing: true}},
		{"wide: losses", bounds{intervals: 4, losses: 1}},
		{"wide: closing with crashes", bounds{intervals: 3, losses: 1, crashes: 1, closing: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "wide") && !*wide {
				t.Skip("takes half a minute: -wide searches this far")
			}
			x := explore(t, c.bounds)
			if v := x.violation(); v != "" {
				t.Errorf("after %d states: %s", len(x.worlds), v)
			}
			t.Logf("%d states", len(x.worlds))
		})
	}
}

// Each rule is there for a reason: without it the search finds what goes wrong.
func TestEveryRuleIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name string
		want string
		bounds
	}{
		{"statements are durable before they are sent", "two statements for one slot",
			bounds{intervals: 3, crashes: 1, forgetful: true}},
		{"slots are keyed by interval", "can no longer be co-signed",
			bounds{intervals: 4, losses: 1, rules: rules{slotBySeq: true}}},
		{"a challenge carries the last ack", "can no longer be co-signed",
			bounds{intervals: 4, losses: 1, rules: rules{noLastAck: true}, noResync: true}},
		{"a closed interval is never acked", "ack for a closed interval",
			bounds{intervals: 4, rules: rules{ackClosed: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := explore(t, c.bounds)
			if v := x.violation(); !strings.Contains(v, c.want) {
				t.Errorf("without the rule, %d states show %q, not %q", len(x.worlds), v, c.want)
			}
			t.Logf("%d states", len(x.worlds))
		})
	}
}
