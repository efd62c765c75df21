package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/clock"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// A machine is one side of a simulated day: its wall clock may be wrong, run wrong and
// be set, and the machine may sleep and be booted anew. Which time it takes that for,
// job/clock says.
type machine struct {
	*session.Session
	journal sessiontest.Journal
	stop    context.CancelFunc // of the session
	created time.Time          // its lease
	clock   clock.Clock
	boot    string
	booted  time.Time
	skew    atomic.Int64  // of its wall clock, in nanoseconds
	drift   time.Duration // ahead in each second
	slept   time.Duration // since it was booted
	awake   atomic.Pointer[chan struct{}]
	task    stopwatch
}

// read is what the machine's clocks show.
func (m *machine) read() clock.Reading {
	<-*m.awake.Load()
	passed := time.Since(m.booted)
	passed += passed / time.Second * m.drift
	return clock.Reading{Boot: m.boot, Up: passed, Awake: passed - m.slept, Wall: time.Now().Add(time.Duration(m.skew.Load()))}
}

func (m *machine) now() time.Time     { return m.clock.Now(m.read()) }
func (m *machine) off() time.Duration { return m.clock.Off(m.read()) }

// sleep suspends the machine, and with it the task.
func (m *machine) sleep(d *day, long time.Duration) {
	closed := make(chan struct{})
	m.awake.Store(&closed)
	m.task.pause(true)
	d.pass(long)
	m.slept += long
	close(closed)
	m.task.pause(false)
}

// reboot turns a machine off for a while. Its wall clock is wrong by skew afterwards.
func (m *machine) reboot(d *day, long, skew time.Duration) {
	m.stop()
	<-m.Done()
	l := m.Lease()
	d.pass(long)
	records := m.journal.Records()
	m.boot, m.booted, m.slept = m.boot+"'", time.Now(), 0
	m.skew.Store(int64(skew))
	m.clock, _ = clock.Begin(m.clock, m.read())
	m.clock = m.clock.After(records[len(records)-1].At)
	var events []lease.Recorded
	for _, rec := range records {
		r, err := session.Recorded(rec)
		if err != nil {
			d.t.Fatal(err)
		}
		events = append(events, r)
	}
	l, err := lease.Replay(l.Config, m.created, events)
	if err != nil {
		d.t.Fatal(err)
	}
	m.begin(d, l)
	d.connect()
}

// stopwatch is how long a task really ran.
type stopwatch struct {
	mu                      sync.Mutex
	started, frozen, asleep bool
	ran                     time.Duration
	since                   time.Time
}

func (s *stopwatch) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started && !s.frozen && !s.asleep {
		s.ran += time.Since(s.since)
	}
	s.since = time.Now()
	change()
}

func (s *stopwatch) pause(is bool) { s.set(func() { s.asleep = is }) }

func (s *stopwatch) read() (ran time.Duration) {
	s.set(func() { ran = s.ran })
	return ran
}

// newMachine is one with a lease that is not begun yet.
func newMachine(skew time.Duration) *machine {
	m := &machine{boot: "boot", booted: time.Now()}
	m.skew.Store(int64(skew))
	awake := make(chan struct{})
	close(awake)
	m.awake.Store(&awake)
	m.clock, _ = clock.Begin(clock.Clock{}, m.read())
	return m
}

// begin runs the session of the lease.
func (m *machine) begin(d *day, l lease.Lease) {
	ctx, stop := context.WithCancel(d.t.Context())
	m.stop = stop
	m.Session = session.New(session.Config{
		Lease: l, Key: "lease", Kind: "event", Journal: &m.journal, Now: m.now, Slept: m.off, Log: slog.New(slog.DiscardHandler),
		Decode: decodeAll, Perform: m.perform, Tick: sessiontest.Tick, Linger: time.Hour,
	})
	go func() { _ = m.Run(ctx) }()
}

func decodeAll(f *leasev1.BeatFrame) (lease.Event, error) {
	if r := f.GetResync(); r != nil {
		return lease.ResyncReceived{Resync: r}, nil
	}
	return decode(f)
}

func (m *machine) perform(ctx context.Context, ef lease.Effect) {
	switch ef := ef.(type) {
	case lease.SendResync:
		m.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Resync{Resync: ef.Resync}})
	case lease.StartTask:
		m.task.set(func() { m.task.started = true })
		go m.Post(ctx, lease.TaskRunning{})
	case lease.FreezeTask:
		m.task.set(func() { m.task.frozen = true })
	case lease.ThawTask:
		m.task.set(func() { m.task.frozen = false })
	}
}

// day is a lease of 24 hours between two machines.
type day struct {
	t                 *testing.T
	terms             *leasev1.Terms
	worker, requester *machine
	ofWorker          *session.PipeEnd // nil while they are parted
	exposed           time.Duration    // the most that the task ran without being paid for
	overpaid          time.Duration    // the most that was paid for and had not run
}

const (
	interval  = time.Minute
	grace     = 15 * time.Second
	maxUnpaid = 2 * interval
)

func newDay(t *testing.T) *day {
	terms := sessiontest.Terms(workerKey, requesterKey, time.Now())
	terms.IntervalMs, terms.GraceMs, terms.AbsentGraceMs = interval.Milliseconds(), grace.Milliseconds(), 45*60_000
	terms.StartByMs += 10 * 60_000
	terms.MaxDurationMs, terms.MaxAmount = 48*3_600_000, 1_000_000_000
	return &day{t: t, terms: terms, worker: newMachine(0), requester: newMachine(0)}
}

// begin begins the lease, by each side's own clock.
func (d *day) begin() {
	for _, m := range []*machine{d.worker, d.requester} {
		m.created = m.now()
		w, r := sessiontest.Lease(d.t, workerKey, requesterKey, d.terms, m.created)
		if m == d.worker {
			m.begin(d, w)
		} else {
			m.begin(d, r)
		}
	}
	d.connect()
}

func (d *day) connect() {
	ofWorker, ofRequester := session.Pipe(sessiontest.Peer(d.t, workerKey), sessiontest.Peer(d.t, requesterKey))
	if err := errors.Join(d.worker.Attach(d.t.Context(), ofWorker), d.requester.Attach(d.t.Context(), ofRequester)); err != nil {
		d.t.Fatal(err)
	}
	d.ofWorker = ofWorker
}

// pass lets time go by, and looks every second how much is not paid for.
func (d *day) pass(long time.Duration) {
	for end := time.Now().Add(long); time.Now().Before(end); {
		time.Sleep(time.Second)
		synctest.Wait()
		d.exposed, d.overpaid = max(d.exposed, d.unpaid()), max(d.overpaid, -d.unpaid())
	}
}

// unpaid is how long the task ran beyond what is co-signed.
func (d *day) unpaid() time.Duration {
	return d.worker.task.read() - time.Duration(d.requester.Lease().CreditMS())*time.Millisecond
}

// run lets a day go by, in which something happens three times.
func (d *day) run(trouble func(*day)) {
	d.begin()
	for range 3 {
		d.pass(8*time.Hour - 17*time.Minute)
		if trouble != nil {
			trouble(d)
		}
		d.pass(17 * time.Minute)
	}
}

func parted(long time.Duration) func(*day) {
	return func(d *day) {
		d.ofWorker.Reset()
		d.pass(long)
		d.connect()
	}
}

func TestADayIsBilledToTheIntervalWhateverHappens(t *testing.T) {
	worker, requester := func(d *day) *machine { return d.worker }, func(d *day) *machine { return d.requester }
	asleep := func(who func(*day) *machine, long time.Duration) func(*day) {
		return func(d *day) { who(d).sleep(d, long) }
	}
	booted := func(skew time.Duration) func(*day) {
		return func(d *day) { d.requester.reboot(d, 5*time.Minute, skew) }
	}
	set := func(by time.Duration) func(*day) {
		return func(d *day) { d.worker.skew.Add(int64(by)); d.requester.skew.Add(int64(by)) }
	}
	const hour = time.Hour
	for name, c := range map[string]struct {
		trouble func(*day)
		prepare func(*day)
	}{
		"nothing":                            {},
		"parted for a minute":                {trouble: parted(time.Minute)},
		"parted for five minutes":            {trouble: parted(5 * time.Minute)},
		"parted for half an hour":            {trouble: parted(30 * time.Minute)},
		"the worker sleeps 30 seconds":       {trouble: asleep(worker, 30*time.Second)},
		"the worker sleeps 10 minutes":       {trouble: asleep(worker, 10*time.Minute)},
		"the requester sleeps 10 minutes":    {trouble: asleep(requester, 10*time.Minute)},
		"the walls' clocks are set on 1 h":   {trouble: set(hour)},
		"the walls' clocks are set back 1 h": {trouble: set(-hour)},
		"the walls' clocks are set on 1 d":   {trouble: set(24 * hour)},
		"the walls' clocks are set back 1 d": {trouble: set(-24 * hour)},
		"the requester is booted":            {trouble: booted(0)},
		"… and its wall is 1 h behind":       {trouble: booted(-hour)},
		"… and its wall is 1 d behind":       {trouble: booted(-24 * hour)},
		"the worker's clock is 4 min off":    {prepare: func(d *day) { d.worker = newMachine(4 * time.Minute) }},
		"clocks drift apart by 200 ppm": {prepare: func(d *day) {
			d.worker.drift, d.requester.drift = 100*time.Microsecond, -100*time.Microsecond
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDay(t)
				if c.prepare != nil {
					c.prepare(d)
				}
				d.run(c.trouble)
				d.checkBill()
			})
		})
	}
}

// checkBill ends the task and compares what is agreed with what was served: that is the
// same within an interval, and neither side was ever ahead of the other by more than two.
func (d *day) checkBill() {
	if s := d.worker.state(); s.Ended() {
		d.t.Fatalf("the lease is %s: %s", s, d.worker.Lease().Reason())
	}
	d.worker.Post(d.t.Context(), lease.TaskExited{Exit: &leasev1.Exit{EndedMs: d.worker.now().UnixMilli()}})
	<-d.requester.Over()
	<-d.worker.Over()
	served := d.worker.task.read()
	for name, m := range map[string]*machine{"worker": d.worker, "requester": d.requester} {
		l := m.Lease()
		paid := time.Duration(l.CreditMS()) * time.Millisecond
		if off := (served - paid).Abs(); l.State() != lease.Closed || off > interval {
			d.t.Errorf("%s: %s; served %s and paid %s: off by %s", name, l.State(), served, paid, off)
		}
	}
	const look = time.Second // how often it is looked
	if d.exposed > maxUnpaid+look || d.overpaid > interval {
		d.t.Errorf("%s were served and not paid for, %s paid for and not served", d.exposed, d.overpaid)
	}
	d.t.Logf("%s were served and not paid for at most; %s paid for and not served; off by %s in the end",
		d.exposed, d.overpaid, served-time.Duration(d.worker.Lease().CreditMS())*time.Millisecond)
}

// A worker that is booted has lost its task. What it served until then is paid.
func TestAWorkerThatIsBootedIsPaidForWhatItServed(t *testing.T) {
	for name, skew := range map[string]time.Duration{
		"a good clock": 0, "an hour behind": -time.Hour, "a day behind": -24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDay(t)
				d.run(nil)
				d.worker.task.pause(true)
				served := d.worker.task.read()
				d.worker.reboot(d, 7*time.Minute, skew)
				d.worker.Post(t.Context(), lease.TaskFailed{Exit: &leasev1.Exit{Error: "lost", EndedMs: d.worker.now().UnixMilli()}})
				<-d.requester.Over()
				<-d.worker.Over()
				l := d.requester.Lease()
				if off := served - time.Duration(l.CreditMS())*time.Millisecond; l.State() != lease.Closed || off < 0 || off > 2*interval {
					t.Errorf("%s; served %s and paid %s: off by %s", l.State(), served, time.Duration(l.CreditMS())*time.Millisecond, off)
				}
			})
		})
	}
}

func (m *machine) state() lease.State { return m.Lease().State() }

func TestSilenceBeyondTheGraceLapsesOnBothSidesAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDay(t)
		d.run(nil)
		d.ofWorker.Reset()
		d.pass(50 * time.Minute)
		w, r := d.worker.Lease(), d.requester.Lease()
		if w.State() != lease.Lapsed || r.State() != lease.Lapsed || w.CreditMS() != r.CreditMS() || w.Amount() != r.Amount() {
			t.Error(fmt.Sprint(w.State(), r.State(), w.CreditMS(), r.CreditMS()))
		}
	})
}
