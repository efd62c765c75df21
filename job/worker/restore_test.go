package worker_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// running awards a job and runs it, with the requester's side connected.
func running(b *bench, change func(*attempt), script ...string) (*session.Session, []byte) {
	b.t.Helper()
	a := b.prepare(requesterKey, script...)
	if change != nil {
		change(a)
	}
	return b.take(a)
}

// take takes a bid up and runs the requester's side, connected.
func (b *bench) take(a *attempt) (*session.Session, []byte) {
	b.t.Helper()
	l, id := b.lease(a.request())
	s := deafTo(sessiontest.Requester(l, &sessiontest.Journal{}), b.unread.Load)
	go func() { _ = s.Run(b.t.Context()) }()
	b.connect(s, id)
	return s, id
}

func outputs(a *attempt) { a.spec.Outputs = []string{"/out"} }

func TestATaskIsTakenUpAgainWhereverARestartMeetsIt(t *testing.T) {
	for _, c := range []struct {
		name string
		ran  time.Duration        // before the worker stops
		meet func(*bench, []byte) // while it is down
		down time.Duration
		code int32
		out  string
	}{
		{"running", 10 * time.Second, nil, 5 * time.Second, 7, "one\ntwo\n"},
		{"exited meanwhile", 10 * time.Second, nil, 40 * time.Second, 7, "one\ntwo\n"},
		{"gone", 10 * time.Second, func(b *bench, _ []byte) { b.clear() }, 5 * time.Second, 125, ""},
		{"never fetched", 0, nil, 5 * time.Second, 7, "one\ntwo\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.peers.set(c.ran == 0) // a fetch that is cut off
				b.unread.Store(true)    // a requester co-signs when it has the output
				b.start()
				s, id := running(b, nil, "print one", "sleep 20s", "print two", "exit 7")
				time.Sleep(max(c.ran, time.Second))
				b.stop()
				if c.meet != nil {
					c.meet(b, id)
				}
				time.Sleep(c.down)
				b.peers.set(false)
				b.start()
				defer b.stop()
				b.connect(s, id)
				out, ended := b.follow(id)
				b.unread.Store(false)
				<-s.Done()
				if got := s.Lease(); got.State() != lease.Closed || got.Exit().GetCode() != c.code {
					t.Errorf("%s with %v; want closed with code %d", got.State(), got.Exit(), c.code)
				}
				if out != c.out || ended.GetExit().GetCode() != c.code {
					t.Errorf("stdout %q, ended %v", out, ended)
				}
				time.Sleep(time.Second)
				if !proto.Equal(b.kept.last(), s.Lease().Receipt()) {
					t.Error("the receipts differ")
				}
				if all, _ := b.runtime.List(t.Context()); len(all) != 0 || b.free() != 2 {
					t.Errorf("left behind: %v, %d devices free", all, b.free())
				}
				if left, _ := os.ReadDir(b.dir); len(left) != 0 {
					t.Errorf("folders left: %v", left)
				}
			})
		})
	}
}

func TestOutputsWaitForARequesterThatTakesItsTimeOverTheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		a := b.prepare(requesterKey, "exit 0")
		outputs(a)
		l, id := b.lease(a.request())
		ctx, cancel := context.WithCancel(t.Context())
		s := deaf(sessiontest.Requester(l, &sessiontest.Journal{}))
		go func() { _ = s.Run(ctx) }()
		b.connect(s, id)
		_, before := b.follow(id)
		cancel()
		<-s.Done()
		manifest := before.Outputs[0].Manifest
		b.mayFetch(id, manifest)
		b.stop()
		b.start()
		if b.free() != 2 {
			t.Errorf("%d devices free; the task is over, whatever the requester does", b.free())
		}
		b.mayFetch(id, manifest)
		if _, after := b.follow(id); !proto.Equal(before, after) {
			t.Errorf("ended %v before the restart, %v after", before, after)
		}
		done := sessiontest.Requester(s.Lease(), &sessiontest.Journal{})
		go func() { _ = done.Run(t.Context()) }()
		b.connect(done, id)
		<-done.Done()
		if got := done.Lease(); got.State() != lease.Closed {
			t.Errorf("ended %s", got.State())
		}
		time.Sleep(time.Second)
		if b.Holds(manifest) {
			t.Error("the output is kept after the close was co-signed")
		}
		b.stop()
	})
}

// deaf is a requester that hears no close.
func deaf(s *session.Session) *session.Session { return deafTo(s, func() bool { return true }) }

// deafTo hears no close for as long as it is told to.
func deafTo(s *session.Session, deaf func() bool) *session.Session {
	c := s.Config
	hear := c.Decode
	c.Decode = func(f *leasev1.BeatFrame) (lease.Event, error) {
		if f.GetClose() != nil && deaf() {
			return nil, nil
		}
		return hear(f)
	}
	return session.New(c)
}

// mayFetch checks that an output goes to the requester of its lease and to nobody else.
func (b *bench) mayFetch(id []byte, manifest string) {
	b.t.Helper()
	requester := sessiontest.Peer(b.t, requesterKey)
	if !b.MayFetch(requester, id, manifest) || !b.Holds(manifest) {
		b.t.Error("the requester may not fetch its output")
	}
	if b.MayFetch(sessiontest.Peer(b.t, strangerKey), id, manifest) {
		b.t.Error("a stranger may fetch it")
	}
	for _, other := range [][]byte{nil, make([]byte, 32), id[:31]} {
		if b.MayFetch(requester, other, manifest) {
			b.t.Errorf("it may be fetched under lease %x", other)
		}
	}
	if b.MayFetch(requester, id, b.image.Digest) {
		b.t.Error("more than the output may be fetched")
	}
}

func TestALapsedLeasesOutputIsKeptForADayAndNotLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		a := b.prepare(requesterKey, "print one", "sleep 1h")
		l, id := b.lease(a.request())
		ctx, cancel := context.WithCancel(t.Context())
		s := sessiontest.Requester(l, &sessiontest.Journal{})
		go func() { _ = s.Run(ctx) }()
		end := b.connect(s, id)
		time.Sleep(10 * time.Second)
		cancel()
		<-s.Done()
		end.Reset()
		time.Sleep(time.Hour)
		if b.Live() != 0 || b.free() != 2 {
			t.Errorf("%d leases live, %d devices free", b.Live(), b.free())
		}
		if out, ended := b.follow(id); out != "one\n" || ended == nil {
			t.Errorf("stdout %q, ended %v", out, ended)
		}
		if r := b.kept.last(); r == nil || len(r.Close) == 0 && r.LastAck == nil {
			t.Errorf("receipt %v; want one of what was served", r)
		}
		time.Sleep(worker.Retention)
		if all, _ := b.runtime.List(t.Context()); len(all) != 0 || len(b.Leases()) != 0 {
			t.Errorf("left after a day: %v, %v", all, b.Leases())
		}
	})
}

func TestAFollowerMayNotAskForNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		_, id := b.lease(b.prepare(requesterKey, "exit 0").request())
		near, far := session.Pipe(sessiontest.Peer(t, requesterKey), sessiontest.Peer(t, workerKey))
		defer near.Reset()
		if err := b.Follow(t.Context(), &leasev1.TaskRequest{LeaseId: id, StdoutOffset: 1 << 63}, far); err == nil {
			t.Error("an offset beyond every file was served")
		}
		_, strange := session.Pipe(sessiontest.Peer(t, strangerKey), sessiontest.Peer(t, workerKey))
		defer strange.Reset()
		if err := b.Follow(t.Context(), &leasev1.TaskRequest{LeaseId: id}, strange); err == nil {
			t.Error("a stranger follows the task")
		}
		if err := b.Accept(t.Context(), id, strange); err == nil {
			t.Error("a stranger holds the beat stream")
		}
	})
}

// TestACrashAfterAnyRecordNeverMakesTheWorkerContradictItself cuts the journal of
// a whole lease after each of its records and lets a worker go on from there.
func TestACrashAfterAnyRecordNeverMakesTheWorkerContradictItself(t *testing.T) {
	var whole *sessiontest.Journal
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		s, _ := running(b, outputs, "sleep 3s", "exit 0")
		<-s.Done()
		time.Sleep(time.Second)
		b.stop()
		whole = b.journal
	})
	n := len(whole.Records())
	if kinds := whole.Kinds(); kinds[0] != worker.KindAward || kinds[n-1] != worker.KindRemoved || n < 10 {
		t.Fatalf("records %v", kinds)
	}
	for i := 1; i <= n; i++ {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				time.Sleep(5 * time.Second) // never before what the journal says
				b.journal = whole.First(i)
				b.start()
				time.Sleep(30 * time.Hour) // nobody is there any more
				if b.Live() != 0 || b.free() != 2 || len(b.Leases()) != 0 {
					t.Errorf("%d leases live, %d kept, %d devices free", b.Live(), len(b.Leases()), b.free())
				}
				b.stop()
				consistent(t, b.journal.Records(), whole.Records())
				b.clear()
			})
		})
	}
}

// consistent checks that no two statements of the records are for one slot.
func consistent(t *testing.T, journals ...[]journal.Record) {
	t.Helper()
	said := map[string]string{}
	for _, records := range journals {
		for _, r := range records {
			rec, err := session.Recorded(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range rec.Statements {
				slot := s.Type
				if s.Type == string(statement.TypeBeat) {
					var b leasev1.Beat
					if err := proto.Unmarshal(s.Payload, &b); err != nil {
						t.Fatal(err)
					}
					slot += fmt.Sprint(b.Interval)
				}
				if s.Type == string(statement.TypeClose) {
					continue // one for each journal: a close that was never sent may be another
				}
				if before, ok := said[slot]; ok && before != string(s.Payload) {
					t.Errorf("two statements for %s", slot)
				}
				said[slot] = string(s.Payload)
			}
		}
	}
}

func TestATaskOfNoLeaseIsAnOrphan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(5 * time.Second)
		all, err := b.runtime.List(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		got := b.Orphans(append(all, runtime.Status{ID: "rm-somebody"}))
		if len(got) != 1 || got[0] != "rm-somebody" {
			t.Errorf("orphans %v of lease %x", got, id)
		}
		b.clear()
		time.Sleep(time.Second)
	})
}
