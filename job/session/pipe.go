package session

import (
	"context"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// lane is one direction of a pipe.
type lane struct {
	messages chan []byte
	closed   chan struct{} // nothing more comes
	close    sync.Once
}

func newLane() *lane { return &lane{messages: make(chan []byte, 64), closed: make(chan struct{})} }

// PipeEnd is one end of a stream that never leaves the process. Messages are
// copied as they are on a wire, so that neither end can change what the other holds.
type PipeEnd struct {
	peer    peer.ID
	out, in *lane
	ctx     context.Context // of the stream: it was reset, or has ended
	cancel  context.CancelFunc
}

// Pipe makes a stream between two peers in one process, and gives the end of each.
func Pipe(a, b peer.ID) (ofA, ofB *PipeEnd) {
	ctx, cancel := context.WithCancel(context.Background())
	there, back := newLane(), newLane()
	return &PipeEnd{peer: b, out: there, in: back, ctx: ctx, cancel: cancel},
		&PipeEnd{peer: a, out: back, in: there, ctx: ctx, cancel: cancel}
}

// Send hands a message to the other end. It blocks when that is far behind.
func (e *PipeEnd) Send(m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	select {
	case <-e.out.closed:
		return io.ErrClosedPipe
	default:
	}
	select {
	case <-e.ctx.Done():
	case <-e.out.closed:
	case e.out.messages <- b:
		return nil
	}
	return io.ErrClosedPipe
}

// Recv takes the next message from the other end; io.EOF after its last one.
func (e *PipeEnd) Recv(m proto.Message) error {
	select {
	case b := <-e.in.messages: // also what was sent before the end
		return proto.Unmarshal(b, m)
	default:
	}
	select {
	case b := <-e.in.messages:
		return proto.Unmarshal(b, m)
	case <-e.in.closed:
	case <-e.ctx.Done():
		return io.ErrClosedPipe
	}
	select {
	case b := <-e.in.messages: // it came just before
		return proto.Unmarshal(b, m)
	default:
		e.cancel() // as with a stream: whoever has heard all of it is done
		return io.EOF
	}
}

// Close says that nothing more will be sent; what was sent still arrives.
func (e *PipeEnd) Close() error {
	e.out.close.Do(func() { close(e.out.closed) })
	return nil
}

// Reset ends the stream at once, for both ends.
func (e *PipeEnd) Reset() { e.cancel() }

// Peer is who is at the other end.
func (e *PipeEnd) Peer() peer.ID { return e.peer }

// Context ends with the stream.
func (e *PipeEnd) Context() context.Context { return e.ctx }
