package node

import (
	"context"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session"
)

// local makes streams between this node's own requester and worker.
type local struct{ n *Node }

// open connects one end to serve and gives the other.
func (l *local) open(serve func(context.Context, session.Link)) session.Link {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pipe{cancel: cancel, done: ctx.Done()}
	there, back := make(chan []byte, 64), make(chan []byte, 64)
	near := &pipeEnd{pipe: p, self: l.n.host.ID(), out: there, in: back}
	far := &pipeEnd{pipe: p, self: l.n.host.ID(), out: back, in: there}
	go func() {
		serve(ctx, far)
		_ = far.Close()
	}()
	return near
}

// pipe is a stream that never leaves the process. Messages are copied as they
// are on a wire, so that neither end can change what the other holds.
type pipe struct {
	cancel context.CancelFunc
	done   <-chan struct{}
}

type pipeEnd struct {
	*pipe
	self  peer.ID
	out   chan<- []byte
	in    <-chan []byte
	close sync.Once
}

func (e *pipeEnd) Send(m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	select {
	case <-e.done:
		return io.ErrClosedPipe
	case e.out <- b:
		return nil
	}
}

func (e *pipeEnd) Recv(m proto.Message) error {
	select {
	case b, ok := <-e.in:
		if !ok {
			e.cancel()
			return io.EOF
		}
		return proto.Unmarshal(b, m)
	case <-e.done:
		return io.ErrClosedPipe
	}
}

// Close says that nothing more will be sent; what was sent still arrives.
func (e *pipeEnd) Close() error {
	e.close.Do(func() { close(e.out) })
	return nil
}

func (e *pipeEnd) Reset()        { e.cancel() }
func (e *pipeEnd) Peer() peer.ID { return e.self }
