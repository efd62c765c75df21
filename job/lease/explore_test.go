package lease

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// The tests in this file try everything that can happen to a short lease: any
// order of delivery, any duplication, loss of all that is under way, a crash of
// either side before or after each thing that it makes durable, a worker whose
// machine sleeps, and one side that signs whatever helps it. They step the real state machine, not a model of it.

var wide = flag.Bool("wide", false, "search more of what can happen to a lease: make model")

// maxWorlds is far above what the bounds below lead to.
const maxWorlds = 1_500_000

// bounds keep the search finite.
type bounds struct {
	intervals uint64
	losses    int
	crashes   int // of each side
	sleeps    int // of the worker's machine, until the requester next has something to do
	closing   bool
	liar      Role // signs what it should not; 0: nobody does
	lies      int
	rules     rules
	forgetful bool // not durable before send: a crash loses the last statement
	noResync  bool // resyncs never arrive
}

// world is one state of everything. What it points to is shared and never changed.
type world struct {
	now     time.Time
	sides   [3]*known     // by role
	before  [3]*known     // as it was before it last signed something
	soup    []uint16      // packets under way, ascending; they can arrive again and again
	said    []uint16      // everything that was ever signed, ascending
	ran     time.Duration // how long the task really ran
	losses  uint8
	sleeps  uint8
	lies    uint8
	crashes [3]uint8
	exited  bool
	bad     string // the first thing that must never be
}

// known is a lease with its fingerprint.
type known struct {
	Lease
	print [32]byte
}

func knownOf(l Lease) *known { return &known{l, fingerprint(l)} }

// claim is a statement and the slot that it is the only one for.
type claim struct {
	slot    string
	payload string
}

// packet is a message that was sent, opened once.
type packet struct {
	id     uint16
	name   string
	to     Role
	event  Event
	signed *marketv1.Signed // nil of a resync
}

// stepKey is everything that the outcome of a step depends on, so that no step
// is taken twice.
type stepKey struct {
	print [32]byte
	nowMs int64
	event string
}

type stepped struct {
	lease   *known
	effects []Effect
	err     error
}

type explorer struct {
	t *testing.T
	bounds
	packets []*packet
	named   map[string]*packet
	claims  []claim
	claimed map[claim]uint16
	sign    map[string]*marketv1.Signed
	worlds  []*world
	from    [][]int32 // predecessors
	index   map[[32]byte]int32
	steps   map[stepKey]stepped
}

func explore(t *testing.T, b bounds) *explorer {
	x := &explorer{
		t: t, bounds: b, named: map[string]*packet{}, claimed: map[claim]uint16{}, sign: map[string]*marketv1.Signed{},
		index: map[[32]byte]int32{}, steps: map[stepKey]stepped{},
	}
	w := &world{now: epoch}
	terms := testTerms()
	terms.StartByMs = epoch.Add(time.Hour).UnixMilli()
	for _, r := range []Role{Worker, Requester} {
		l := newLease(r, terms)
		l.off, l.Sign = b.rules, x.signer(r)
		w.sides[r] = knownOf(l)
		w.before[r] = w.sides[r]
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
		i = int32(len(x.worlds))
		x.index[key] = i
		x.worlds = append(x.worlds, w)
		x.from = append(x.from, nil)
	}
	if from >= 0 {
		x.from[i] = append(x.from[i], int32(from))
	}
}

func (w *world) key() [32]byte {
	h := sha256.New()
	h.Write(w.sides[Worker].print[:])
	h.Write(w.sides[Requester].print[:])
	fmt.Fprint(h, w.soup, w.said, w.now.UnixMilli(), w.ran, w.losses, w.sleeps, w.lies, w.crashes, w.exited, w.bad)
	return [32]byte(h.Sum(nil))
}

// with is a set of numbers with one more, and whether it is new there.
func with(set []uint16, n uint16) ([]uint16, bool) {
	at, found := slices.BinarySearch(set, n)
	if found {
		return set, false
	}
	return slices.Insert(slices.Clone(set), at, n), true
}

func (w *world) clone() *world {
	c := *w
	return &c
}

// expand adds every world that may come next.
func (x *explorer) expand(i int) {
	w := x.worlds[i]
	for _, id := range w.soup {
		p := x.packets[id]
		x.try(i, p.to, p.name, p.event)
	}
	x.pass(i)
	x.sleep(i)
	if int(w.losses) < x.losses && len(w.soup) > 0 {
		c := w.clone()
		c.losses++
		c.soup = nil
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
	x.lie(i)
}

// try delivers an event, and delivers it to a side that crashes: after what it
// decided is durable and before anything is done about it, or before that, so that
// it never heard of it.
func (x *explorer) try(i int, r Role, name string, ev Event) {
	c := x.worlds[i].clone()
	if !x.step(c, r, name, ev, true) {
		return
	}
	x.add(c, i)
	if int(c.crashes[r]) < x.crashes && !x.forgetful {
		for _, durable := range []bool{true, false} {
			d := x.worlds[i].clone()
			d.crashes[r]++
			if durable {
				x.step(d, r, name, ev, false)
			}
			x.pending(d, r)
			x.add(d, i)
		}
	}
}

// pending is what a side sends when it is back.
func (x *explorer) pending(w *world, r Role) {
	for _, s := range w.sides[r].Pending() {
		x.put(w, message{from: r, signed: s})
	}
}

// lie lets the liar sign something else in place of each thing that it said.
func (x *explorer) lie(i int) {
	w := x.worlds[i]
	if int(w.lies) >= x.lies {
		return
	}
	for _, id := range w.soup {
		p := x.packets[id]
		if p.to == x.liar || p.signed == nil {
			continue
		}
		for _, forged := range forgeries(x.liar, p.signed) {
			c := w.clone()
			c.lies++
			if x.put(c, message{from: x.liar, signed: forged}) {
				x.add(c, i)
			}
		}
	}
}

// forgeries are other statements for the slot of one, or for one that is not the
// signer's to use yet: well-formed, and signed with its key.
func forgeries(r Role, s *marketv1.Signed) []*marketv1.Signed {
	var out []*marketv1.Signed
	variant := func(change func(proto.Message)) {
		m := decoded(s)
		change(m)
		if forged, err := statement.Sign(keyOf(r), statement.Type(s.Type), m); err == nil {
			out = append(out, forged)
		}
	}
	switch decoded(s).(type) {
	case *leasev1.Challenge:
		variant(func(m proto.Message) { m.(*leasev1.Challenge).Nonce[0] ^= 1 })
		variant(func(m proto.Message) { m.(*leasev1.Challenge).Interval++ })
		variant(func(m proto.Message) { m.(*leasev1.Challenge).PrevHead[0] ^= 1 })
	case *leasev1.Beat:
		variant(func(m proto.Message) { m.(*leasev1.Beat).WorkerMs++ })
		variant(func(m proto.Message) { b := m.(*leasev1.Beat); b.CreditMs += 60_000; b.Amount += 60_000 })
		variant(func(m proto.Message) { m.(*leasev1.Beat).Interval++ })
		variant(func(m proto.Message) { m.(*leasev1.Beat).TreeRoot[0] ^= 1 })
	case *leasev1.Ack:
		variant(func(m proto.Message) { m.(*leasev1.Ack).RequesterMs++ })
		variant(func(m proto.Message) { a := m.(*leasev1.Ack); a.CreditMs /= 2; a.Amount /= 2 })
		variant(func(m proto.Message) { m.(*leasev1.Ack).BeatHash[0] ^= 1 })
	case *leasev1.Close:
		variant(func(m proto.Message) { c := m.(*leasev1.Close); c.CreditMs += 120_000; c.Amount += 120_000 })
		variant(func(m proto.Message) { m.(*leasev1.Close).Beats++ })
	}
	return out
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
		if c.runs() {
			c.ran += next.Sub(c.now)
		}
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

// runs says whether the task uses its device.
func (w *world) runs() bool {
	l := w.sides[Worker]
	return l.phase == phaseLive && !l.worker.running.IsZero() && !l.worker.frozen && !l.worker.ended
}

// sleep lets time go on while the worker's machine, and the task on it, sleeps.
func (x *explorer) sleep(i int) {
	w := x.worlds[i]
	next := w.sides[Requester].Deadline()
	if int(w.sleeps) >= x.sleeps || !next.After(w.now) || !next.Before(epoch.Add(time.Duration(x.intervals)*time.Minute)) {
		return
	}
	c := w.clone()
	c.sleeps++
	slept := next.Sub(c.now)
	c.now = next
	n := uint64(c.now.Sub(epoch))
	x.step(c, Requester, fmt.Sprint("tick", n), Tick{Random: randomFor(n, 20*time.Second)}, true)
	total := w.sides[Worker].Asleep() + slept
	x.step(c, Worker, fmt.Sprint("slept", total), Slept{Total: total}, true)
	x.add(c, i)
}

// forget crashes a side whose last statement was not durable.
func (x *explorer) forget(i int) {
	for _, r := range []Role{Worker, Requester} {
		if w := x.worlds[i]; x.forgetful && int(w.crashes[r]) < x.crashes {
			c := w.clone()
			c.crashes[r]++
			c.sides[r] = c.before[r]
			x.add(c, i)
		}
	}
}

// step takes one step of one side and says whether anything came of it.
func (x *explorer) step(w *world, r Role, name string, ev Event, alive bool) bool {
	key := stepKey{w.sides[r].print, w.now.UnixMilli(), name}
	done, known := x.steps[key]
	if !known {
		var next Lease
		next, done.effects, done.err = w.sides[r].Step(w.now, ev)
		done.lease = knownOf(next)
		if w.sides[r].Repeats(ev, next, done.effects) { // nothing of it is recorded: see session
			done.lease = w.sides[r]
		}
		x.steps[key] = done
	}
	if done.err != nil {
		return false
	}
	changed := done.lease.print != w.sides[r].print
	if len(Statements(done.effects)) > 0 {
		w.before[r] = w.sides[r]
	}
	w.sides[r] = done.lease
	for _, ef := range done.effects {
		x.judge(w, r, ef)
		if _, ok := ef.(StartTask); ok && alive {
			x.step(w, Worker, "running", TaskRunning{}, true)
		}
		if m, ok := messageOf(r, ef); ok && alive && x.put(w, m) {
			changed = true
		}
	}
	w.compare(x.liar)
	return changed
}

// put adds a message to what is under way, and says whether it is new there.
func (x *explorer) put(w *world, m message) bool {
	if m.kind() == "resync" && x.noResync {
		return false
	}
	name := m.kind()
	switch {
	case m.signed != nil:
		name += string(m.signed.Signature)
	case m.resync != nil:
		name += m.from.String() + string(m.resync.GetAck().GetSignature()) + string(m.resync.GetSlotBeat().GetSignature())
	}
	p := x.named[name]
	if p == nil {
		ev, err := m.event(nil)
		if err != nil {
			x.t.Fatal(err)
		}
		p = &packet{id: uint16(len(x.packets)), name: name, to: otherSide(m.from), event: ev, signed: m.signed}
		x.named[name], x.packets = p, append(x.packets, p)
	}
	var isNew bool
	w.soup, isNew = with(w.soup, p.id)
	return isNew
}

// judge looks at what an honest side is about to say.
func (x *explorer) judge(w *world, r Role, ef Effect) {
	send, ok := ef.(Send)
	if !ok || r == x.liar {
		return
	}
	c := claim{slotOf(r, send.Statement), string(send.Statement.Payload)}
	if own := w.sides[r].closing; c.slot != "close" && (r == Worker && own.worker != nil || r == Requester && own.requester != nil) {
		w.fail("something else is said after the close")
	}
	id, known := x.claimed[c]
	if !known {
		id = uint16(len(x.claims))
		x.claimed[c], x.claims = id, append(x.claims, c)
	}
	said, first := with(w.said, id)
	if !first {
		return
	}
	if slices.ContainsFunc(w.said, func(other uint16) bool { return x.claims[other].slot == c.slot }) {
		w.fail("two statements for one slot: " + strings.TrimRight(c.slot, "0123456789 "))
	} else if strings.HasPrefix(c.slot, "ack") {
		interval := w.sides[Requester].chain.interval
		if !w.now.Before(w.sides[Requester].closes(interval)) {
			w.fail("ack for a closed interval")
		}
	}
	w.said = said
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

// compare looks at both sides together. What a liar's own side believes is its own affair.
func (w *world) compare(liar Role) {
	a, b := w.sides[Worker], w.sides[Requester]
	passed := w.now.Sub(b.requester.first)
	if liar == Worker {
		passed += b.interval // which it can gain over the whole lease
	}
	if liar != Requester && b.chain.beats > 0 && b.chain.creditMS > uint64(passed.Milliseconds()) {
		w.fail("more credit than time")
	}
	if liar != Worker {
		w.weigh()
	}
	for _, s := range []*known{a, b} {
		switch {
		case s.Role == liar || s.state != Fault:
		case liar == 0:
			w.fail("an honest side is accused")
		case len(s.proof) != 2 || slotOf(liar, s.proof[0]) != slotOf(liar, s.proof[1]) || bytes.Equal(s.proof[0].Payload, s.proof[1].Payload):
			w.fail("an accusation without proof")
		}
	}
	if liar != 0 {
		return
	}
	if a.chain.head != b.chain.head && a.chain.head != b.prior.head {
		w.fail("histories differ")
	}
	if a.chain.beats > b.chain.beats && a.phase != phaseEnded {
		w.fail("the worker counts a beat that the requester does not")
	}
}

// weigh holds what an honest worker signed for and has been paid against what its
// task really did.
func (w *world) weigh() {
	l := w.sides[Worker]
	claimed := max(l.worker.slot.content.GetCreditMs(), l.closing.close.GetCreditMs())
	if claimed > uint64(w.ran.Milliseconds()) {
		w.fail("credit for what was not served")
	}
	if w.ran > time.Duration(l.unpaidLimit())*time.Millisecond {
		w.fail("more was served than may be unpaid")
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
	if x.liar != 0 {
		return "" // whoever deals with a liar is not promised progress
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
				queue = append(queue, int(p))
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
	total := 0
	for _, c := range []struct {
		name string
		bounds
	}{
		{"losses", bounds{intervals: 3, losses: 2}},
		{"crashes", bounds{intervals: 3, crashes: 1}},
		{"closing", bounds{intervals: 3, losses: 1, closing: true}},
		{"sleeping", bounds{intervals: 3, sleeps: 1}},
		{"a worker that lies", bounds{intervals: 2, liar: Worker, lies: 2}},
		{"a requester that lies", bounds{intervals: 2, liar: Requester, lies: 2}},
		{"wide: losses", bounds{intervals: 4, losses: 1}},
		{"wide: crashes", bounds{intervals: 3, losses: 1, crashes: 1}},
		{"wide: closing", bounds{intervals: 3, losses: 2, closing: true}},
		{"wide: closing with crashes", bounds{intervals: 3, crashes: 1, closing: true}},
		{"wide: sleeping", bounds{intervals: 3, sleeps: 2, losses: 1}},
		{"wide: sleeping, and closing", bounds{intervals: 3, sleeps: 1, closing: true}},
		{"wide: a worker that lies, and closes", bounds{intervals: 3, losses: 1, liar: Worker, lies: 1, closing: true}},
		{"wide: a requester that lies, and crashes", bounds{intervals: 2, liar: Requester, lies: 1, crashes: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "wide") && !*wide {
				t.Skip("takes minutes: make model searches this far")
			}
			x := explore(t, c.bounds)
			if v := x.violation(); v != "" {
				t.Errorf("after %d states: %s", len(x.worlds), v)
			}
			total += len(x.worlds)
			t.Logf("%d states", len(x.worlds))
		})
	}
	t.Logf("%d states in all", total)
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
			bounds{intervals: 3, losses: 1, rules: rules{slotBySeq: true}}},
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
