package port_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/port"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

type frames struct{ *session.PipeEnd }

func (f frames) Send(m *leasev1.PortFrame) error { return f.PipeEnd.Send(proto.Message(m)) }
func (f frames) Recv(m *leasev1.PortFrame) error { return f.PipeEnd.Recv(proto.Message(m)) }

// sockets are the two ends of a TCP connection.
func sockets(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

// through is a TCP connection that goes through a link: what the two programs at its ends
// hold, how both sides of the link end, and the link.
func through(t *testing.T) (client, server *net.TCPConn, done chan error, link *session.PipeEnd) {
	t.Helper()
	client, here := sockets(t)
	there, server := sockets(t)
	near, far := session.Pipe("", "")
	done = make(chan error, 2)
	for _, side := range []struct {
		end    *session.PipeEnd
		socket *net.TCPConn
	}{{near, here}, {far, there}} {
		go func() {
			framed := port.New(frames{side.end})
			err := port.Splice(framed, side.socket)
			_, _ = framed.Close(), side.socket.Close()
			done <- err
		}()
	}
	return client, server, done, near
}

func TestEachDirectionOfAConnectionEndsOnItsOwn(t *testing.T) {
	client, server, done, _ := through(t)
	sent := strings.Repeat("0123456789abcde\n", 1<<15)
	go func() {
		_, _ = io.WriteString(client, sent)
		_ = client.CloseWrite()
	}()
	got, err := io.ReadAll(server) // the end arrives while the other direction is open
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes of %d came, or others, and %v", len(got), len(sent), err)
	}
	go func() {
		_, _ = io.WriteString(server, sent+"and more")
		_ = server.Close()
	}()
	if got, err = io.ReadAll(client); err != nil || string(got) != sent+"and more" {
		t.Errorf("%d bytes came back, and %v", len(got), err)
	}
	if err := errors.Join(<-done, <-done); err != nil {
		t.Error(err)
	}
}

func TestAConnectionThatFailsIsCutAtItsOtherEnd(t *testing.T) {
	for name, fail := range map[string]func(client *net.TCPConn, link *session.PipeEnd){
		"by its program": func(client *net.TCPConn, _ *session.PipeEnd) { _, _ = client.SetLinger(0), client.Close() },
		"on the way":     func(_ *net.TCPConn, link *session.PipeEnd) { link.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			client, server, done, link := through(t)
			fail(client, link)
			if _, err := io.ReadAll(server); err == nil {
				t.Error("the other end saw an end like any other")
			}
			if errors.Join(<-done, <-done) == nil {
				t.Error("nobody was told")
			}
		})
	}
}

func TestWhatIsNoDataCutsAConnection(t *testing.T) {
	near, far := session.Pipe("", "")
	if err := far.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_Opened{Opened: &leasev1.PortOpened{}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := port.New(frames{near}).Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a second answer was taken as %v", err)
	}
}

// script is a link on which comes what is in a file, each frame behind its length.
type script struct {
	port.Link
	frames []byte
}

func (s *script) Recv(m *leasev1.PortFrame) error {
	b, n := protowire.ConsumeBytes(s.frames)
	if n < 0 {
		return io.ErrUnexpectedEOF
	}
	s.frames = s.frames[n:]
	return proto.Unmarshal(b, m)
}

// FuzzFrames: a connection gives what came before its end, and never takes a cut for one.
func FuzzFrames(f *testing.F) {
	data, end := []byte("\x03\x22\x01a"), []byte("\x02\x2a\x00")
	f.Add(append(data, end...))
	f.Add(data)
	f.Add([]byte("\x02\x12\x00"))
	f.Fuzz(func(t *testing.T, frames []byte) {
		got, err := io.ReadAll(port.New(&script{frames: frames}))
		var want []byte
		ended := false
		for s := (&script{frames: frames}); !ended; {
			var m leasev1.PortFrame
			if s.Recv(&m) != nil || m.GetData() == nil && m.GetEnd() == nil {
				break
			}
			want, ended = append(want, m.GetData()...), m.GetEnd() != nil
		}
		if !bytes.Equal(got, want) || (err == nil) != ended {
			t.Errorf("got %q, %v; want %q, ended %t", got, err, want, ended)
		}
	})
}
