package worker_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// begin asks for a program in a task, as the requester or as somebody else.
func (b *bench) begin(from string, start *leasev1.ExecStart) (*session.PipeEnd, chan error) {
	b.t.Helper()
	near, far := session.Pipe(sessiontest.Peer(b.t, sessiontest.Key(from)), sessiontest.Peer(b.t, workerKey))
	done := make(chan error, 1)
	go func() {
		err := b.Exec(far.Context(), start, far)
		_ = far.Close()
		done <- err
	}()
	return near, done
}

// heard reads what comes from a program to its end.
func heard(link *session.PipeEnd) (stdout string, last *leasev1.ExecReply) {
	defer link.Reset()
	for {
		var r leasev1.ExecReply
		if err := link.Recv(&r); err != nil {
			return stdout, nil
		}
		stdout += string(r.GetStdout())
		if r.GetEnded() != nil || r.GetRefused() != nil {
			return stdout, &r
		}
	}
}

func stdin(b []byte) *leasev1.ExecFrame {
	return &leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Stdin{Stdin: b}}
}

func TestARequesterRunsProgramsInItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		s, id := running(b, nil, "sleep 1m")
		time.Sleep(time.Second)
		link, done := b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"cat", "exit 7"}, Stdin: true})
		send(t, link, stdin([]byte("one ")), stdin([]byte("two")), &leasev1.ExecFrame{Frame: &leasev1.ExecFrame_StdinEnd{StdinEnd: &leasev1.StdinEnd{}}})
		if stdout, last := heard(link); stdout != "one two" || last.GetEnded().GetCode() != 7 || last.GetEnded().GetTaskEnded() {
			t.Errorf("%q, %v", stdout, last)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		link, done = b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"sleep 2h"}})
		time.Sleep(time.Second)
		if _, last := heard(link); !last.GetEnded().GetTaskEnded() {
			t.Errorf("the task has ended, and its program says %v", last)
		}
		<-done
		<-s.Done()
	})
}

func TestNobodyElseRunsProgramsInATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		for from, lease := range map[string][]byte{"stranger": id, "requester": make([]byte, 32), "worker": nil} {
			link, done := b.begin(from, &leasev1.ExecStart{LeaseId: lease, Args: []string{"print here"}})
			if err := <-done; !errors.Is(err, worker.ErrNoLease) {
				t.Errorf("%s: %v", from, err)
			}
			if stdout, last := heard(link); stdout != "" || last != nil {
				t.Errorf("%s heard %q, %v", from, stdout, last)
			}
		}
	})
}

func TestAProgramIsRefusedWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		refused := func(start *leasev1.ExecStart, want leasev1.ExecRefusal) {
			t.Helper()
			start.LeaseId = id
			link, _ := b.begin("requester", start)
			if _, last := heard(link); last.GetRefused().GetReason() != want || last.GetRefused().GetSentence() == "" {
				t.Errorf("%v instead of %s", last, want)
			}
		}
		refused(&leasev1.ExecStart{}, leasev1.ExecRefusal_EXEC_REFUSAL_INVALID)
		refused(&leasev1.ExecStart{Args: []string{"exit 0"}, Workdir: "../x"}, leasev1.ExecRefusal_EXEC_REFUSAL_INVALID)
		refused(sessiontest.Later(&leasev1.ExecStart{Args: []string{"exit 0"}}), leasev1.ExecRefusal_EXEC_REFUSAL_INVALID)
		links := b.occupy(id, 16)
		refused(&leasev1.ExecStart{Args: []string{"exit 0"}}, leasev1.ExecRefusal_EXEC_REFUSAL_BUSY)
		for _, l := range links {
			l.Reset()
		}
		synctest.Wait()
		link, _ := b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"exit 3"}})
		if _, last := heard(link); last.GetEnded().GetCode() != 3 {
			t.Errorf("after the others have gone: %v", last)
		}
	})
}

func TestNoProgramRunsInATaskThatHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.peers.set(true) // its image does not come
		b.start()
		defer b.stop()
		_, id := running(b, nil, "sleep 1h")
		link, _ := b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"exit 0"}})
		if _, last := heard(link); last.GetRefused().GetReason() != leasev1.ExecRefusal_EXEC_REFUSAL_NOT_RUNNING {
			t.Errorf("heard %v", last)
		}
	})
}

func TestFramesThatBreakTheRulesEndAProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		for _, f := range []*leasev1.ExecFrame{
			{}, {Frame: &leasev1.ExecFrame_Signal{Signal: 64}}, {Frame: &leasev1.ExecFrame_Start{Start: &leasev1.ExecStart{}}},
			stdin(make([]byte, 1<<17)), {Frame: &leasev1.ExecFrame_Size{Size: &leasev1.WindowSize{Rows: 1 << 20}}},
		} {
			link, done := b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"sleep 2h"}, Stdin: true})
			if err := link.Send(f); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Fatal(err)
			}
			if err := <-done; err == nil {
				t.Errorf("%v was taken", f)
			}
			link.Reset()
		}
	})
}

func TestARequesterSitsAtItsTasksTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		s, id := running(b, func(a *attempt) { a.spec.Stdin, a.spec.Terminal = true, true }, "print ready", "cat", "exit 7")
		time.Sleep(time.Second)
		attach := &leasev1.ExecStart{LeaseId: id, Program: leasev1.ExecProgram_EXEC_PROGRAM_ATTACH, Stdin: true}
		link, done := b.begin("requester", attach)
		send(t, link, stdin([]byte("one")))
		synctest.Wait() // it is passed on, and shown
		send(t, link, &leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Detach{Detach: &leasev1.Detach{}}})
		if stdout, last := heard(link); stdout != "one" || !last.GetEnded().GetDetached() {
			t.Errorf("left: %q, %v", stdout, last)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		link, _ = b.begin("requester", attach)
		var first leasev1.ExecReply
		if err := link.Recv(&first); err != nil || string(first.GetEarlier()) != "ready\none" {
			t.Errorf("came back to %v, %v", &first, err)
		}
		send(t, link, stdin([]byte("two\x04")))
		if stdout, last := heard(link); stdout != "two" || !last.GetEnded().GetTaskEnded() {
			t.Errorf("the task ended: %q, %v", stdout, last)
		}
		<-s.Done()
	})
}

func TestAProgramThatIsLeftAloneGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		link, done := b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"sleep 1m"}})
		send(t, link, &leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Detach{Detach: &leasev1.Detach{}}})
		if _, last := heard(link); !last.GetEnded().GetDetached() {
			t.Errorf("left: %v", last)
		}
		<-done
		time.Sleep(30 * time.Second) // it holds its place
		links := b.occupy(id, 15)
		link, _ = b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"exit 0"}})
		if _, last := heard(link); last.GetRefused().GetReason() != leasev1.ExecRefusal_EXEC_REFUSAL_BUSY {
			t.Errorf("a program that was left alone does not run any more: %v", last)
		}
		time.Sleep(time.Minute) // and then does not
		link, _ = b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"exit 3"}})
		if _, last := heard(link); last.GetEnded().GetCode() != 3 {
			t.Errorf("after its end: %v", last)
		}
		for _, l := range links {
			l.Reset()
		}
	})
}

// occupy runs some programs that do not end.
func (b *bench) occupy(id []byte, n int) (links []*session.PipeEnd) {
	for range n {
		link, _ := b.begin("requester", &leasev1.ExecStart{LeaseId: id, Args: []string{"sleep 2h"}})
		links = append(links, link)
	}
	synctest.Wait()
	return links
}

func send(t *testing.T, link *session.PipeEnd, frames ...*leasev1.ExecFrame) {
	t.Helper()
	for _, f := range frames {
		if err := link.Send(f); err != nil {
			t.Fatal(err)
		}
	}
}
