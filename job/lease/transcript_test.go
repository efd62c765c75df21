package lease

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Transcripts are told by testdata/*.txt: "> " lines are what happens, "#" lines
// are for the reader, everything else is what the two sides do about it and is
// rewritten by -update. The words are in testdata/README.
func TestTranscriptsTellTheRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("transcript differs (-file +now; -update rewrites it):\n%s", diff)
			}
		})
	}
}

// play runs the input lines of a transcript and gives the whole of it anew.
func play(t *testing.T, script string) string {
	s := &scene{t: t, terms: testTerms(), now: epoch, offset: 10 * time.Second, image: testTerms().ImageDigest, lose: map[string]int{}, hold: map[string]int{}}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&s.out, line)
			if err := s.command(strings.Fields(line[2:])); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			s.checkReplay()
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&s.out, line)
		}
	}
	return s.out.String()
}

// scene is two sides and the wire between them, on which nothing takes time.
type scene struct {
	t         *testing.T
	out       strings.Builder
	terms     *leasev1.Terms
	now       time.Time
	sides     map[Role]*side
	ticks     uint64
	offset    time.Duration // of challenges in their intervals
	cut       bool
	lose      map[string]int
	hold      map[string]int
	held      []message
	last      map[string]message
	queue     []message
	dies      Role // crashes in its next step, when it is durable and before anything is done
	away      Role // is not running
	running   bool
	witness   watcher
	silent    bool   // the worker shows no samples
	image     string // that the worker says it runs
	startedMs int64
	endedMs   int64
	moves     moves // nil unless someone wants to know
	mute      bool  // nobody reads what it tells
}

func (s *scene) command(words []string) error {
	verb, rest := words[0], words[1:]
	if s.sides == nil && verb != "terms" {
		s.begin()
	}
	arg := strings.Join(rest, " ")
	switch verb {
	case "terms":
		return s.setTerms(rest)
	case "begin":
		return nil
	case "sleep":
		return s.sleep(arg, true)
	case "doze":
		return s.sleep(arg, false)
	case "tick":
		s.tick(Requester)
		s.tick(Worker)
	case "offset":
		return s.setOffset(arg)
	case "lose":
		s.lose[arg]++
	case "hold":
		s.hold[arg]++
	case "release":
		s.queue, s.held = append(s.queue, s.held...), nil
	case "again":
		s.queue = append(s.queue, s.last[arg])
	case "cut":
		s.cut = true
	case "mend":
		s.mend()
	case "away":
		return s.leave(s.role(rest[0]), rest[1])
	default:
		return s.happen(verb, rest)
	}
	s.deliver()
	return nil
}

// happen is what a side lives through.
func (s *scene) happen(verb string, rest []string) error {
	arg := strings.Join(rest, " ")
	switch verb {
	case "task":
		s.task(rest[0], strings.Join(rest[1:], " "))
	case "stop":
		grace, err := time.ParseDuration(arg)
		if err != nil {
			return err
		}
		s.step(Requester, StopAsked{grace})
	case "yield":
		s.step(Worker, Yield{})
	case "still":
		s.step(Worker, Hold{On: arg == "on"})
	case "slept":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return err
		}
		s.step(Worker, Slept{Total: s.sides[Worker].lease.Asleep() + d})
	case "abandon":
		s.step(Requester, Abandon{})
	case "crash":
		s.crash(s.role(arg))
	case "die":
		s.dies = s.role(arg)
	case "forget":
		n := 1
		if len(rest) > 1 {
			n = must(strconv.Atoi(rest[1]))
		}
		s.forget(s.role(rest[0]), n)
	case "forge":
		if err := s.forge(arg); err != nil {
			return err
		}
	case "nonce":
		s.step(Worker, NonceReceived{Witness: 0, Nonce: [32]byte{byte(len(s.witness.asked) + 1)}})
		s.witness.asked = append(s.witness.asked, s.now)
	case "attest":
		s.attest(arg)
	case "silent":
		s.silent = true
	case "image":
		s.image = arg
	case "receipt":
		s.receipt(s.role(arg))
	case "seal":
		return s.makeSeal(arg)
	case "sealed":
		l := s.sides[s.role(arg)].lease
		fmt.Fprintf(&s.out, "%s knows seals of %d of %d beats\n", s.role(arg), l.Sealed(), l.Beats())
	default:
		return errors.New("no such word")
	}
	s.deliver()
	return nil
}

func (s *scene) role(name string) Role {
	if name == "worker" {
		return Worker
	}
	return Requester
}

func (s *scene) begin() {
	s.last = map[string]message{}
	s.sides = map[Role]*side{Worker: newSide(Worker, s.terms), Requester: newSide(Requester, s.terms)}
}

func (s *scene) setTerms(pairs []string) error {
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			switch name {
			case "witnesses":
				for i := range n {
					s.terms.Witnesses = append(s.terms.Witnesses, publicOf(testKey(byte('a'+i))))
				}
			case "price":
				s.terms.Price = n
			case "max_amount":
				s.terms.MaxAmount = n
			case "max_unpaid":
				s.terms.MaxUnpaid = uint32(n)
			case "seal":
				s.terms.SealSuite, s.terms.SealModulus, s.terms.SealT = job.SealWesolowski, job.SealRSA2048, n
			default:
				return errors.New("no such number")
			}
			continue
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		switch name {
		case "interval":
			s.terms.IntervalMs = d.Milliseconds()
		case "first_interval":
			s.terms.FirstIntervalMs = d.Milliseconds()
		case "grace":
			s.terms.GraceMs = d.Milliseconds()
		case "absent_grace":
			s.terms.AbsentGraceMs = d.Milliseconds()
		case "start_by":
			s.terms.StartByMs = epoch.Add(d).UnixMilli()
		case "max_duration":
			s.terms.MaxDurationMs = d.Milliseconds()
		default:
			return errors.New("no such time")
		}
	}
	return nil
}

func (s *scene) setOffset(arg string) (err error) {
	s.offset, err = time.ParseDuration(arg)
	return err
}

// sleep lets time pass, with a tick at every deadline or without any.
func (s *scene) sleep(arg string, ticking bool) error {
	d, err := time.ParseDuration(arg)
	if err != nil {
		return err
	}
	until := s.now.Add(d)
	for ticking {
		r, next := s.nextDeadline()
		if next.IsZero() || next.After(until) {
			break
		}
		if next.After(s.now) {
			s.now = next
		}
		s.tick(r)
		s.deliver()
	}
	s.now = until
	return nil
}

// leave has a side not run for so long, and then start again from its journal.
func (s *scene) leave(r Role, long string) error {
	s.cut, s.away = true, r
	if err := s.sleep(long, true); err != nil {
		return err
	}
	s.away = 0
	if err := s.sides[r].crash(); err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&s.out, "%s %s starts again\n", s.clock(), r)
	s.tick(r)
	s.mend()
	s.deliver()
	return nil
}

// mend puts a new stream between the two.
func (s *scene) mend() {
	s.cut = false
	s.pending(Worker)
	s.pending(Requester)
}

func (s *scene) nextDeadline() (r Role, next time.Time) {
	for _, role := range []Role{Requester, Worker} {
		d := s.sides[role].lease.Deadline()
		if role != s.away && !d.IsZero() && (next.IsZero() || d.Before(next)) {
			r, next = role, d
		}
	}
	return r, next
}

func (s *scene) tick(r Role) {
	s.ticks++
	s.step(r, Tick{Random: randomFor(s.ticks, s.offset)})
}

// step takes one step and tells about it, unless nothing is to be seen.
func (s *scene) step(r Role, ev Event) {
	side := s.sides[r]
	before := side.lease.State()
	effects, err := side.step(s.now, ev)
	if err != nil {
		fmt.Fprintf(&s.out, "%s %s %s\n  refused: %v\n", s.clock(), r, side.lease.State(), err)
		return
	}
	if len(effects) == 0 && side.lease.State() == before {
		return
	}
	l := side.lease
	if s.moves != nil {
		s.moves.note(r, before, l.State(), ev)
	}
	if !s.mute {
		fmt.Fprintf(&s.out, "%s %s %s beats=%d credit=%s\n", s.clock(), r, l.State(), l.Beats(), time.Duration(l.CreditMS())*time.Millisecond)
	}
	died := s.dies == r
	for _, ef := range effects {
		if !s.mute {
			fmt.Fprintf(&s.out, "  %s\n", tell(ef))
		}
		if w, ok := ef.(ShowWitness); ok {
			s.witness.shown = w.Shown
		}
		if m, ok := messageOf(r, ef); ok && !died {
			s.queue = append(s.queue, m)
		}
	}
	if died {
		s.dies = 0
		fmt.Fprintf(&s.out, "  (dies before anything of this is done)\n")
		s.crash(r)
	}
}

func (s *scene) clock() string { return s.now.Sub(epoch).String() }

// deliver carries what is on the wire until it is empty.
func (s *scene) deliver() {
	for len(s.queue) > 0 {
		m := s.queue[0]
		s.queue = s.queue[1:]
		kind := m.kind()
		s.last[kind] = m
		switch {
		case s.cut || s.lose[kind] > 0:
			s.lose[kind]--
			fmt.Fprintf(&s.out, "  (%s lost)\n", kind)
		case s.hold[kind] > 0:
			s.hold[kind]--
			s.held = append(s.held, m)
			fmt.Fprintf(&s.out, "  (%s held up)\n", kind)
		default:
			if m.seal != nil {
				s.openSeal(m.seal)
				continue
			}
			ev, err := m.event(s.evidence(m))
			if err != nil {
				s.t.Fatalf("%s: %v", kind, err)
			}
			s.step(otherSide(m.from), ev)
		}
	}
}

func (s *scene) task(what, arg string) {
	switch what {
	case "running":
		s.running, s.startedMs = true, s.now.UnixMilli()
		s.step(Worker, TaskRunning{})
		return
	case "ended":
		s.step(Worker, TaskEnded{Exit: s.exit(arg)})
	case "exits":
		s.step(Worker, TaskExited{Exit: s.exit(arg), Evidence: s.evidence(message{})})
	case "fails":
		s.step(Worker, TaskFailed{Exit: &leasev1.Exit{Code: 125, Error: arg}})
	}
	s.running, s.endedMs = false, s.now.UnixMilli()
}

// evidence is what the worker's machine shows: a sample for each second in which
// the task ran, or says so.
func (s *scene) evidence(m message) *leasev1.Evidence {
	c := &leasev1.Challenge{}
	if m.signed != nil && m.kind() == "challenge" {
		c = decoded(m.signed).(*leasev1.Challenge)
	}
	e := &leasev1.Evidence{TaskId: "task", ImageDigest: s.image, Running: s.running, FirstSample: s.sides[Worker].lease.SamplesFrom(c)}
	until := s.now.UnixMilli()
	if s.endedMs > 0 {
		until = s.endedMs
	}
	if all := uint64(until-s.startedMs) / 1000; s.startedMs > 0 && all > e.FirstSample && !s.silent {
		e.Samples, e.SamplesRoot, e.CpuMs = all-e.FirstSample, make([]byte, 32), all*500
	}
	return e
}

// watcher is the first witness of the terms, as far as a transcript needs it.
type watcher struct {
	asked []time.Time
	shown *leasev1.Shown
}

// attest has the witness sign for what it was shown last; "wrong" for another head, and
// "more" for more credit.
func (s *scene) attest(how string) {
	beat, head := decoded(s.witness.shown.Beat).(*leasev1.Beat), heartbeat.NextHead(s.witness.shown.Beat, s.witness.shown.Ack)
	tree := must(heartbeat.TreeFrom(beat.Seq+1, s.witness.shown.Tree))
	switch how {
	case "wrong":
		head[0] ^= 1
	case "more":
		beat.CreditMs++
	}
	root, id := tree.Append(head).Root(), s.sides[Worker].lease.ID()
	signed := must(statement.Sign(testKey('a'), statement.TypeAttest, &leasev1.Attest{
		Version: 1, LeaseId: id[:], Seq: beat.Seq, Head: head[:], TreeRoot: root[:], Period: uint64(len(s.witness.asked) - 1),
		CreditMs: beat.CreditMs, FirstMs: epoch.UnixMilli(), AskedMs: s.now.UnixMilli(), AttestedMs: s.now.UnixMilli(),
	}))
	for _, r := range []Role{Worker, Requester} {
		s.step(r, must(s.sides[r].lease.OpenAttest(signed)))
	}
}

func (s *scene) exit(how string) *leasev1.Exit {
	code, lost := strings.CutSuffix(how, " lost")
	e := &leasev1.Exit{Code: int32(must(strconv.Atoi(code))), StartedMs: s.startedMs, EndedMs: s.now.UnixMilli()}
	if lost {
		e.Cause = leasev1.Cause_CAUSE_LOST
	}
	return e
}

// makeSeal makes the seal that the worker's lease wants, or spoils it.
func (s *scene) makeSeal(how string) error {
	l := s.sides[Worker].lease
	p, seq, beat, wanted := l.ToSeal()
	if !wanted {
		fmt.Fprintln(&s.out, "worker has nothing to seal")
		return nil
	}
	made := must(seal.Make(p, beat))
	id := l.ID()
	made.LeaseId, made.Seq = id[:], seq
	switch how {
	case "ready":
	case "wrong":
		made.Pi[255] ^= 1
	default:
		return errors.New("no such seal")
	}
	s.step(Worker, SealReady{made})
	s.deliver()
	return nil
}

// openSeal is a seal arriving at the requester.
func (s *scene) openSeal(m *leasev1.Seal) {
	ev, err := s.sides[Requester].lease.OpenSeal(m)
	if err != nil {
		fmt.Fprintf(&s.out, "%s requester\n  refused: %v\n", s.clock(), err)
		return
	}
	s.step(Requester, ev)
	fmt.Fprintf(&s.out, "%s requester has the seal of beat %d\n", s.clock(), m.Seq)
}

// pending is what a new stream begins with.
func (s *scene) pending(r Role) {
	if last := s.sides[r].lease.LastSeal(); r == Worker && last != nil {
		fmt.Fprintf(&s.out, "%s %s sends seal again\n", s.clock(), r)
		s.queue = append(s.queue, message{from: r, seal: last})
	}
	for _, m := range s.sides[r].lease.Pending() {
		fmt.Fprintf(&s.out, "%s %s sends %s again\n", s.clock(), r, m.Type)
		s.queue = append(s.queue, message{from: r, signed: m})
	}
}

func (s *scene) crash(r Role) {
	if err := s.sides[r].crash(); err != nil {
		s.t.Fatal(err)
	}
	l := s.sides[r].lease
	fmt.Fprintf(&s.out, "%s %s is back: %s beats=%d credit=%s\n", s.clock(), r, l.State(), l.Beats(), time.Duration(l.CreditMS())*time.Millisecond)
	s.pending(r)
}

// forget drops the last n records that hold a statement and all after them, as a
// disk that lied about being durable would, and restarts.
func (s *scene) forget(r Role, n int) {
	side := s.sides[r]
	for i := len(side.journal) - 1; i >= 0 && n > 0; i-- {
		if len(side.journal[i].Statements) > 0 {
			side.journal = side.journal[:i]
			n--
		}
	}
	s.crash(r)
}

// forge signs, with a side's own key, a second statement for a slot it used.
func (s *scene) forge(what string) error {
	m, ok := s.last[what]
	if !ok {
		return errors.New("none was sent yet")
	}
	typ := statement.Type(what)
	content := typ.New()
	if err := proto.Unmarshal(m.signed.Payload, content); err != nil {
		return err
	}
	switch c := content.(type) {
	case *leasev1.Beat:
		c.WorkerMs++
	case *leasev1.Ack:
		c.RequesterMs++
	default:
		return errors.New("only beats and acks are forged")
	}
	forged := must(statement.Sign(keyOf(m.from), typ, content))
	s.queue = append(s.queue, message{from: m.from, signed: forged})
	return nil
}

func (s *scene) receipt(r Role) {
	rec := s.sides[r].lease.Receipt()
	if rec == nil {
		fmt.Fprintf(&s.out, "%s has no receipt\n", r)
		return
	}
	var parts []string
	if rec.LastAck != nil {
		parts = append(parts, "last ack")
	}
	if rec.Close != nil {
		parts = append(parts, "close signed by worker")
	}
	if rec.CloseRequesterSignature != nil {
		parts = append(parts, "and by requester")
	}
	if n := len(rec.Witnessed); n > 0 {
		parts = append(parts, fmt.Sprintf("attestations: %d", n))
	}
	fmt.Fprintf(&s.out, "%s holds a receipt: %s\n", r, strings.Join(parts, ", "))
}

// checkReplay makes sure, after every line, that both journals tell the same
// story as the leases that wrote them.
func (s *scene) checkReplay() {
	for r, side := range s.sides {
		l, err := Replay(side.config, epoch, side.journal)
		if err != nil {
			s.t.Fatalf("replay %s: %v", r, err)
		}
		if fingerprint(l) != fingerprint(side.lease) || !l.Deadline().Equal(side.lease.Deadline()) {
			s.t.Fatalf("replay of %s gives another lease", r)
		}
	}
}

// tell is an effect in words.
func tell(ef Effect) string {
	switch ef := ef.(type) {
	case Send:
		return "send " + tellStatement(ef.Statement)
	case SendResync:
		return fmt.Sprintf("send resync beats=%t slot=%d", ef.Resync.Beat != nil, ef.Resync.SlotInterval)
	case SendSeal:
		return fmt.Sprintf("send seal seq=%d", ef.Seal.Seq)
	case SendStop:
		return fmt.Sprintf("send stop grace=%s", ef.Grace)
	case SendAttest:
		return "send attestation"
	case ShowWitness:
		return fmt.Sprintf("show witness %d: beat %d, %d nonces", ef.Witness, decoded(ef.Shown.Beat).(*leasev1.Beat).Seq, len(ef.Shown.Nonces))
	case StartTask:
		return "start task"
	case StopTask:
		return fmt.Sprintf("stop task grace=%s", ef.Grace)
	case FreezeTask:
		return "freeze task"
	case ThawTask:
		return "thaw task"
	case Beaten:
		return fmt.Sprintf("beaten seq=%d interval=%d credit=%s amount=%d", ef.Seq, ef.Interval, time.Duration(ef.CreditMS)*time.Millisecond, ef.Amount)
	case Disputed:
		var why []string
		for _, m := range ef.Mismatches {
			why = append(why, evidence.Words(m))
		}
		return "disputed: " + strings.Join(why, "; ")
	case Ended:
		return fmt.Sprintf("ended %s: %s", ef.State, ef.Reason)
	}
	return fmt.Sprintf("%T", ef)
}

func tellStatement(signed *marketv1.Signed) string {
	switch c := decoded(signed).(type) {
	case *leasev1.Challenge:
		return fmt.Sprintf("challenge seq=%d interval=%d last_ack=%t", c.Seq, c.Interval, c.LastAck != nil)
	case *leasev1.Beat:
		return fmt.Sprintf("beat seq=%d interval=%d credit=%s amount=%d", c.Seq, c.Interval, time.Duration(c.CreditMs)*time.Millisecond, c.Amount) + tellSeal(c.PrevSeal)
	case *leasev1.Ack:
		return fmt.Sprintf("ack seq=%d interval=%d", c.Seq, c.Interval) + tellVerdict(c)
	case *leasev1.Close:
		reason := strings.ToLower(strings.TrimPrefix(c.Reason.String(), "CLOSE_REASON_"))
		return fmt.Sprintf("close beats=%d credit=%s amount=%d reason=%s exit=%d", c.Beats, time.Duration(c.CreditMs)*time.Millisecond, c.Amount, reason, c.Exit.Code) + tellSeal(c.LastSeal)
	}
	return signed.Type
}

func tellVerdict(a *leasev1.Ack) string {
	if a.Verdict == leasev1.Verdict_VERDICT_GOOD {
		return ""
	}
	return " disputed"
}

func tellSeal(hash []byte) string {
	if len(hash) == 0 {
		return ""
	}
	return " seal of the beat before"
}

// decoded is what a statement says.
func decoded(signed *marketv1.Signed) proto.Message {
	content := statement.Type(signed.Type).New()
	if err := proto.Unmarshal(signed.Payload, content); err != nil {
		panic(err)
	}
	return content
}
