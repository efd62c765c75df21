package worker_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/port"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

type portFrames struct{ *session.PipeEnd }

func (f portFrames) Send(m *leasev1.PortFrame) error { return f.PipeEnd.Send(proto.Message(m)) }
func (f portFrames) Recv(m *leasev1.PortFrame) error { return f.PipeEnd.Recv(proto.Message(m)) }

// dial asks for a connection to a port, as the requester or as somebody else, and gives
// the worker's answer.
func (b *bench) dial(from string, lease []byte, number uint32) (portFrames, *leasev1.PortFrame, chan error) {
	b.t.Helper()
	near, far := session.Pipe(sessiontest.Peer(b.t, sessiontest.Key(from)), sessiontest.Peer(b.t, workerKey))
	done := make(chan error, 1)
	go func() {
		err := b.Port(far.Context(), &leasev1.PortOpen{LeaseId: lease, Port: number}, far)
		_ = far.Close()
		done <- err
	}()
	var answer leasev1.PortFrame
	_ = near.Recv(&answer) // of a worker that hangs up it is empty
	return portFrames{near}, &answer, done
}

func TestARequesterReachesPortsOfItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		s, id := running(b, nil, "serve 8888", "sleep 1m")
		time.Sleep(time.Second)
		link, answer, done := b.dial("requester", id, 8888)
		if answer.GetOpened() == nil {
			t.Fatalf("answer: %v", answer)
		}
		conn := port.New(link)
		for _, word := range []string{"one ", "two "} { // and nothing cuts it off in between
			if _, err := io.WriteString(conn, word); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != "one two " {
			t.Errorf("%q, %v", got, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		link, _, done = b.dial("requester", id, 8888)
		<-s.Done() // the task ends, and the lease
		if _, err := io.ReadAll(port.New(link)); err == nil {
			t.Error("a connection outlived its task, or ended as if nothing had happened")
		}
		<-done
		if _, answer, done := b.dial("requester", id, 8888); answer.GetOpened() != nil || answer.GetRefused().GetReason() != leasev1.PortRefusal_PORT_REFUSAL_NOT_RUNNING && <-done == nil {
			t.Errorf("after the lease: %v", answer)
		}
	})
}

func TestNobodyElseReachesPortsOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "serve 8888", "sleep 1h")
		time.Sleep(time.Second)
		for from, lease := range map[string][]byte{"stranger": id, "requester": make([]byte, 32), "worker": nil} {
			link, answer, done := b.dial(from, lease, 8888)
			link.Reset()
			if err := <-done; !errors.Is(err, worker.ErrNoLease) || answer.Frame != nil {
				t.Errorf("%s: %v, %v", from, answer, err)
			}
		}
	})
}

func TestAPortIsRefusedWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 5s", "serve 8888", "sleep 1h")
		time.Sleep(10 * time.Second)
		for number, want := range map[uint32]leasev1.PortRefusal{
			0:       leasev1.PortRefusal_PORT_REFUSAL_INVALID,
			1 << 16: leasev1.PortRefusal_PORT_REFUSAL_INVALID,
			22:      leasev1.PortRefusal_PORT_REFUSAL_CLOSED,
		} {
			if _, answer, _ := b.dial("requester", id, number); answer.GetRefused().GetReason() != want || answer.GetRefused().GetSentence() == "" {
				t.Errorf("port %d: %v, want %v", number, answer, want)
			}
		}
		var open []portFrames
		for range worker.MaxConnections {
			link, answer, _ := b.dial("requester", id, 8888)
			if answer.GetOpened() == nil {
				t.Fatalf("connection %d: %v", len(open), answer)
			}
			open = append(open, link)
		}
		if _, answer, _ := b.dial("requester", id, 8888); answer.GetRefused().GetReason() != leasev1.PortRefusal_PORT_REFUSAL_BUSY {
			t.Errorf("one too many: %v", answer)
		}
		open[0].Reset()
		synctest.Wait()
		if _, answer, _ := b.dial("requester", id, 8888); answer.GetOpened() == nil {
			t.Errorf("after one was let go: %v", answer)
		}
	})
}
