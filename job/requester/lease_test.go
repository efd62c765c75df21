package requester

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// withOutput is a rig whose task leaves one file in /out.
func withOutput(price uint64) *rig {
	w := &rig{price: price, ran: 5 * time.Second, stdout: "hello\n", blobs: store{}}
	file := w.blobs.put([]byte("result"))
	m := w.blobs.manifest(&marketv1.Entry{Path: "f", Digest: file, SizeBytes: 6})
	w.outputs = []*leasev1.Output{{Path: "/out", Manifest: m, TotalBytes: 6}}
	return w
}

func (b *bench) withOutput() *leasev1.Submission {
	sub := b.submission()
	sub.Spec.Outputs = []string{"/out"}
	return sub
}

func (b *bench) stdout(id string) string {
	b.t.Helper()
	r, err := b.Output(b.t.Context(), id, runtime.Stdout, 0, false)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(out)
}

func TestOutputAndOutputsAreHereBeforeTheCloseIsCoSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withOutput(price)
		b := newBench(t, w)
		b.journal.Before = func(r journal.Record) error {
			for _, s := range r.Statements {
				var signed marketv1.Signed
				_ = proto.Unmarshal(s, &signed)
				if signed.Type == string(statement.TypeClose) && !slices.Contains(b.journal.Kinds(), KindReceived) {
					t.Error("co-signed before the outputs were here")
				}
			}
			return nil
		}
		b.start()
		defer b.stop()
		id := b.submit(b.withOutput())
		_, end := b.events(id)
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || len(end.Outputs) != 1 || end.Amount == 0 {
			t.Errorf("ended %v", end)
		}
		for digest := range w.blobs {
			if _, here := b.store[digest]; !here {
				t.Errorf("blob %s is not here", digest)
			}
		}
		if out := b.stdout(id); out != "hello\n" {
			t.Errorf("stdout %q", out)
		}
		if len(b.kept.kept) != 1 || len(b.kept.kept[0].CloseRequesterSignature) == 0 {
			t.Errorf("receipts %v", b.kept.kept)
		}
	})
}

func TestACloseThatDiffersFromWhatWasSentIsNotCoSigned(t *testing.T) {
	for name, signs := range map[string]func(*lease.TaskExited){
		"exit code": func(ev *lease.TaskExited) { ev.Exit.Code = 3 },
		"oom":       func(ev *lease.TaskExited) { ev.Exit.Oom = true },
		"outputs":   func(ev *lease.TaskExited) { ev.OutputsDigest = bytes.Repeat([]byte{1}, 32) },
		"none":      func(ev *lease.TaskExited) { ev.OutputsDigest = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := withOutput(price)
				w.signs = signs
				b := newBench(t, w)
				b.start()
				defer b.stop()
				events, end := b.run(b.withOutput())
				if end.Outcome != leasev1.Outcome_OUTCOME_FAILED || !strings.Contains(end.Sentence, "not co-signed") {
					t.Errorf("ended %v", end)
				}
				told := false
				for _, e := range events {
					told = told || e.GetTrouble().GetCode() == "close-differs"
				}
				if !told {
					t.Errorf("the user was not told: %v", events)
				}
				if r := b.kept.kept; len(r) != 1 || len(r[0].Close) != 0 || r[0].LastAck == nil {
					t.Errorf("receipts %v; want the last ack and no close", r)
				}
			})
		})
	}
}

func TestWhatAWorkerSendsAsOutputsIsHeldAgainstTheJob(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*rig)
		outputs int
		says    string
	}{
		"a folder nobody asked for": {func(w *rig) {
			w.outputs = append(w.outputs, &leasev1.Output{Path: "/etc\x1b[31m", Manifest: w.outputs[0].Manifest})
		}, 1, "no output of the job"},
		"the same folder many times": {func(w *rig) {
			for range 1000 {
				w.outputs = append(w.outputs, w.outputs[0])
			}
		}, 1, "no output of the job"},
		"a missing folder":      {func(w *rig) { w.outputs = nil }, 0, "could not collect"},
		"a digest that is none": {func(w *rig) { w.outputs[0].Manifest = "../../etc/passwd" }, 0, "/out"},
		"a file larger than it says": {func(w *rig) {
			big := w.blobs.put(make([]byte, 1000))
			w.outputs[0].Manifest = w.blobs.manifest(&marketv1.Entry{Path: "f", Digest: big, SizeBytes: 10})
		}, 0, "/out"},
		"a file it does not have": {func(w *rig) {
			w.outputs[0].Manifest = w.blobs.manifest(&marketv1.Entry{Path: "f", Digest: "sha256:" + strings.Repeat("0", 64)})
		}, 0, "/out"},
		"a manifest that is none": {func(w *rig) { w.outputs[0].Manifest = w.blobs.put([]byte{0xff}) }, 0, "/out"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := withOutput(price)
				c.change(w)
				b := newBench(t, w)
				b.start()
				defer b.stop()
				_, end := b.run(b.withOutput())
				if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || len(end.Outputs) != c.outputs || !strings.Contains(end.Sentence, c.says) {
					t.Errorf("ended %v; want %d outputs and a word about %q", end, c.outputs, c.says)
				}
				if strings.ContainsAny(end.Sentence, "\x1b") || len(end.Sentence) > 200 {
					t.Errorf("the sentence is not clean: %q", end.Sentence)
				}
			})
		})
	}
}

func TestWhatAWorkerSaysOfOutputsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withOutput(price)
		w.outputs, w.notice = nil, "/out cannot be collected: \x1b[31mtoo much"
		b := newBench(t, w)
		b.start()
		defer b.stop()
		events, end := b.run(b.withOutput())
		if want := "/out cannot be collected: [31mtoo much"; !strings.Contains(end.Sentence, "could not collect") || !strings.Contains(end.Sentence, want) {
			t.Errorf("ended with %q", end.Sentence)
		}
		told := slices.ContainsFunc(events, func(e *leasev1.JobEvent) bool {
			s := e.GetTrouble().GetSentence()
			return strings.Contains(s, "cannot be collected: [31mtoo much") && !strings.Contains(s, "stand still")
		})
		if !told {
			t.Errorf("the user was not told: %v", events)
		}
	})
}

func TestFramesOfATaskOfAKindThatIsNotKnownArePassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withOutput(price)
		w.later = true
		b := newBench(t, w)
		b.start()
		defer b.stop()
		id := b.submit(b.withOutput())
		_, end := b.events(id)
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || len(end.Outputs) != 1 || b.stdout(id) != w.stdout {
			t.Errorf("%v, and the output %q", end, b.stdout(id))
		}
	})
}

func TestTheTextOfAnExitIsClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price, exit: &leasev1.Exit{Code: 125, Error: "no \x1b[31mimage"}}
		b := newBench(t, w)
		b.start()
		defer b.stop()
		if _, end := b.run(b.submission()); end.Exit.Error != "no [31mimage" {
			t.Errorf("ended %q", end)
		}
	})
}

func TestAWorkerThatForgotTheLeaseIsNotAskedInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price, ran: time.Hour}
		b := newBench(t, w)
		b.start()
		id := b.submit(b.submission())
		time.Sleep(5 * time.Second)
		w.stop()
		w.mu.Lock()
		clear(w.leases)
		w.mu.Unlock()
		events, end := b.events(id) // in virtual time a hurry would never end
		if end.Outcome != leasev1.Outcome_OUTCOME_LAPSED {
			t.Errorf("ended %v after %d events", end, len(events))
		}
		b.stop()
	})
}

func TestOnlyTheLeasesWorkerMayFetchTheJobsContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, other := &rig{price: price, ran: time.Minute}, &rig{price: price + 1}
		b := newBench(t, w, other)
		b.start()
		defer b.stop()
		sub := b.submission()
		id := b.submit(sub)
		time.Sleep(5 * time.Second)
		j, err := b.find(id)
		if err != nil {
			t.Fatal(err)
		}
		leaseID := j.lease().id
		may := func(want bool, what string, got bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %t", what, got)
			}
		}
		image := sub.Spec.Image.Digest
		may(true, "its worker", b.MayFetch(w.id, leaseID[:], image))
		may(false, "another worker", b.MayFetch(other.id, leaseID[:], image))
		may(false, "another lease", b.MayFetch(w.id, make([]byte, 32), image))
		may(false, "another blob", b.MayFetch(w.id, leaseID[:], b.store.put([]byte("private"))))
		b.events(id)
		may(false, "once it is over", b.MayFetch(w.id, leaseID[:], image))
		may(false, "content is needed once it is over", b.Holds(image))
	})
}

// A node may show thousands of jobs that have ended, and shows the same of each as when it ended.
func TestAJobThatHasEndedIsShownAsBeforeAndHoldsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, withOutput(price))
		b.start()
		defer b.stop()
		id := b.submit(b.withOutput())
		type shown struct {
			Listed []View
			Events []*leasev1.JobEvent
			Why    Explanation
			Output string
			Over   bool
		}
		look := func() (s shown) {
			t.Helper()
			s.Listed = b.Jobs()
			s.Events, _ = b.events(id)
			s.Over = errors.Is(b.Stop(t.Context(), id, 0, false), ErrEnded)
			why, err := b.Explain(id[:8])
			if err != nil {
				t.Fatal(err)
			}
			s.Why, s.Output = why, b.stdout(id)
			return s
		}
		b.events(id)
		before := look()
		if before.Listed[0].Beats == 0 || before.Output == "" || !before.Over {
			t.Errorf("shown at the end: %+v", before)
		}
		time.Sleep(time.Hour) // the worker has our last word
		synctest.Wait()
		if len(b.runs) != 0 || len(b.remnants) != 1 || len(b.LiveJobs()) != 0 {
			t.Errorf("%d jobs and %d remnants are in memory", len(b.runs), len(b.remnants))
		}
		if diff := cmp.Diff(before, look(), protocmp.Transform()); diff != "" {
			t.Errorf("shown otherwise (-at the end +later):\n%s", diff)
		}
		b.stop()
		b.start()
		if len(b.runs) != 0 || len(b.remnants) != 1 {
			t.Errorf("%d jobs and %d remnants are in memory after a restart", len(b.runs), len(b.remnants))
		}
		before.Listed[0].Sealed = 0 // not known any more
		if diff := cmp.Diff(before, look(), protocmp.Transform()); diff != "" {
			t.Errorf("shown otherwise (-before a restart +after it):\n%s", diff)
		}
	})
}

// TestACrashAfterAnyRecordLosesNothing cuts the journal of a whole job after each
// of its records, as a crash would, and lets a requester go on from there.
func TestACrashAfterAnyRecordLosesNothing(t *testing.T) {
	for cut := 1; ; cut++ {
		more := false
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := withOutput(price)
				b := newBench(t, w)
				crashed := make(chan struct{})
				b.journal.Before = func(journal.Record) error {
					if len(b.journal.Records()) == cut {
						select {
						case <-crashed:
						default:
							close(crashed)
						}
						return errCrash
					}
					return nil
				}
				b.start()
				id := b.submit(b.withOutput())
				watched, following := make(chan struct{}), b.Events(t.Context(), id, true)
				go func() {
					defer close(watched)
					for range following {
					}
				}()
				select {
				case <-crashed:
					more = true
					<-b.done
				case <-watched:
					b.cancel()
					<-b.done
				}
				b.journal = b.journal.First(min(cut, len(b.journal.Records())))
				before := b.journal.Records()
				b.start()
				_, end := b.events(id)
				if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || len(end.Outputs) != 1 || end.Exit == nil {
					t.Errorf("ended %v", end)
				}
				if out := b.stdout(id); out != "hello\n" {
					t.Errorf("stdout %q", out)
				}
				time.Sleep(time.Minute)
				closed := 0
				for _, n := range w.leases {
					if n.session.Lease().State() == lease.Closed {
						closed++
					}
				}
				if closed != 1 {
					t.Errorf("%d leases closed on the worker, of %d", closed, len(w.leases))
				}
				b.stop()
				if len(before) > 0 {
					once(t, b.journal.Records())
				}
			})
		})
		if !more || t.Failed() {
			if cut < 8 {
				t.Errorf("only %d records", cut)
			}
			return
		}
	}
}

var errCrash = fmt.Errorf("crash")

// once checks that no slot has two statements.
func once(t *testing.T, records []journal.Record) {
	t.Helper()
	said := map[string]string{}
	for _, r := range records {
		if r.Kind != KindEvent {
			continue
		}
		rec, err := session.Recorded(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range rec.Statements {
			slot := s.Type
			switch s.Type {
			case string(statement.TypeChallenge):
				var c leasev1.Challenge
				_ = proto.Unmarshal(s.Payload, &c)
				slot += fmt.Sprintf("%x/%d", c.LeaseId, c.Interval)
			case string(statement.TypeAck):
				var a leasev1.Ack
				_ = proto.Unmarshal(s.Payload, &a)
				slot += fmt.Sprintf("%x/%d", a.LeaseId, a.Seq)
			}
			if before, ok := said[slot]; ok && before != string(s.Payload) {
				t.Errorf("two statements for %s", slot)
			}
			said[slot] = string(s.Payload)
		}
	}
}

// Every look at a real clock gives another time, which a bubble's does not. A replay must not
// find a tick too early that was in time.
func TestALeaseIsReplayedThoughTheClockGoesOnWhileItIsSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, ran: 5 * time.Second, stdout: "hello\n"})
		late, signed := time.Duration(0), false
		var mu sync.Mutex
		b.now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			if !signed {
				late += time.Millisecond
			}
			return time.Now().Add(late)
		}
		b.journal.Before = func(r journal.Record) error {
			mu.Lock()
			defer mu.Unlock()
			signed = signed || r.Kind == KindLease
			return nil
		}
		b.start()
		id := b.submit(b.submission())
		time.Sleep(3500 * time.Millisecond)
		b.stop()
		b.start() // or the replay failed
		defer b.stop()
		if _, end := b.events(id); end.Exit.GetCode() != 0 {
			t.Errorf("ended %v", end)
		}
	})
}
