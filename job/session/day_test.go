package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// A machine is one side of a simulated day: its clock may be wrong and run wrong, and
// the machine may sleep. Elapsed time is counted through sleep, as CLOCK_BOOTTIME does.
type machine struct {
	*session.Session
	began time.Time
	skew  time.Duration
	drift time.Duration // ahead in each second
	awake atomic.Pointer[chan struct{}]
	task  stopwatch
}

func (m *machine) now() time.Time {
	<-*m.awake.Load()
	passed := time.Since(m.began)
	return m.began.Add(m.skew + passed + passed/time.Second*m.drift)
}

// sleep suspends the machine, and with it the task.
func (m *machine) sleep() {
	closed := make(chan struct{})
	m.awake.Store(&closed)
	m.task.pause(true)
}

func (m *machine) wake() {
	close(*m.awake.Load())
	m.task.pause(false)
}

// stopwatch is how long a task really ran.
type stopwatch struct {
	started, frozen, asleep bool
	ran                     time.Duration
	since                   time.Time
}

func (s *stopwatch) set(change func()) {
	if s.started && !s.frozen && !s.asleep {
		s.ran += time.Since(s.since)
	}
	s.since = time.Now()
	change()
}

func (s *stopwatch) pause(is bool) { s.set(func() { s.asleep = is }) }

func (s *stopwatch) read() time.Duration {
	s.set(func() {})
	return s.ran
}

func newMachine(l lease.Lease) *machine {
	m := &machine{began: time.Now()}
	awake := make(chan struct{})
	close(awake)
	m.awake.Store(&awake)
	m.Session = session.New(session.Config{
		Lease: l, Key: "lease", Kind: "event", Journal: &sessiontest.Journal{}, Now: m.now, Log: slog.New(slog.DiscardHandler),
		Decode: decodeAll, Perform: m.perform, Tick: sessiontest.Tick, Linger: time.Hour,
	})
	return m
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
	worker, requester *machine
	ofWorker          *session.PipeEnd // nil while they are parted
	troubles          time.Duration    // a count of them, so far
	owed              time.Duration    // for good, from before the last trouble
	exposed           time.Duration    // the most that the task ran beyond that without being paid for
}

const (
	interval  = time.Minute
	grace     = 15 * time.Second
	maxUnpaid = 2 * interval
	// freezes is when a worker that hears nothing freezes its task: the interval of the
	// last ack and two more must be over, with their grace.
	freezes = interval + maxUnpaid + grace
)

func newDay(t *testing.T) *day {
	terms := sessiontest.Terms(workerKey, requesterKey, time.Now())
	terms.IntervalMs, terms.GraceMs, terms.AbsentGraceMs = interval.Milliseconds(), grace.Milliseconds(), 45*60_000
	terms.StartByMs += 10 * 60_000
	terms.MaxDurationMs, terms.MaxAmount = 48*3_600_000, 1_000_000_000
	lw, lr := sessiontest.Lease(t, workerKey, requesterKey, terms, time.Now())
	return &day{t: t, worker: newMachine(lw), requester: newMachine(lr)}
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
		d.exposed = max(d.exposed, d.unpaid()-d.owed)
	}
}

// unpaid is how long the task ran beyond what is co-signed.
func (d *day) unpaid() time.Duration {
	return d.worker.task.read() - time.Duration(d.requester.Lease().CreditMS())*time.Millisecond
}

// run lets a day go by, in which something happens three times.
func (d *day) run(trouble func(*day)) {
	for _, m := range []*machine{d.worker, d.requester} {
		go func() { _ = m.Run(d.t.Context()) }()
	}
	d.connect()
	for range 3 {
		d.pass(8*time.Hour - 17*time.Minute)
		if trouble != nil {
			d.owed = d.unpaid()
			trouble(d)
			d.troubles++
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

func TestADayIsBilledWithinTheTermsWhateverHappens(t *testing.T) {
	asleep := func(who func(*day) *machine, long time.Duration) func(*day) {
		return func(d *day) {
			who(d).sleep()
			d.pass(long)
			who(d).wake()
		}
	}
	worker, requester := func(d *day) *machine { return d.worker }, func(d *day) *machine { return d.requester }
	for name, c := range map[string]struct {
		trouble func(*day)
		prepare func(*day)
	}{
		"nothing":                         {},
		"parted for a minute":             {trouble: parted(time.Minute)},
		"parted for five minutes":         {trouble: parted(5 * time.Minute)},
		"parted for half an hour":         {trouble: parted(30 * time.Minute)},
		"the worker sleeps 10 minutes":    {trouble: asleep(worker, 10*time.Minute)},
		"the requester sleeps 10 minutes": {trouble: asleep(requester, 10*time.Minute)},
		"the worker's clock is 4 min off": {prepare: func(d *day) { d.worker.skew = 4 * time.Minute }},
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

// checkBill ends the task and compares what is agreed with what was served. Without
// trouble that is the same within an interval. Each silence costs the worker what its
// task ran beyond what it may claim, and each sleep of the worker costs the requester at
// most what the worker may claim.
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
		lost, overpaid := d.troubles*(freezes-maxUnpaid), d.troubles*maxUnpaid
		if off := served - paid; l.State() != lease.Closed || off > interval+lost || off < -interval-overpaid {
			d.t.Errorf("%s: %s after %d troubles; served %s and paid %s: off by %s", name, l.State(), d.troubles, served, paid, off)
		}
	}
	if d.exposed > freezes+time.Second {
		d.t.Errorf("%s were served and not paid for", d.exposed)
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
