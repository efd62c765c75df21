package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p"
)

// callTimeout bounds a Call whose ctx has no deadline.
const callTimeout = 30 * time.Second

// Open connects to a peer if need be and opens a stream of one of our
// protocols. ctx is for the opening only.
func Open(ctx context.Context, h *p2p.Host, to peer.ID, name string) (*Conn, error) {
	return OpenLimited(ctx, h, to, name, Limits{})
}

// OpenLimited is Open for a protocol whose limits differ from the defaults.
func OpenLimited(ctx context.Context, h *p2p.Host, to peer.ID, name string, l Limits) (*Conn, error) {
	if err := h.Connect(ctx, to); err != nil {
		return nil, fmt.Errorf("open %s stream: %w", name, err)
	}
	// A relayed connection carries small protocols too; without this the
	// opening would wait for a direct one.
	s, err := h.Libp2p().NewStream(network.WithAllowLimitedConn(ctx, name), to, h.Protocol(name))
	if err != nil {
		return nil, fmt.Errorf("open %s stream to %s: %w", name, to, openError(ctx, err))
	}
	return newConn(s, l.withDefaults(), nil), nil
}

// openError tells a peer that does not speak the protocol from one that went
// away between connecting and opening.
func openError(ctx context.Context, err error) error {
	err = classify(err)
	if errors.Is(err, ErrProtocol) || errors.Is(err, ErrBusy) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", p2p.ErrUnreachable, err)
}

// Call sends one request and waits for its response, at most 30 s when ctx has
// no deadline. When ctx ends, so does the handler's at the other side.
func Call(ctx context.Context, h *p2p.Host, to peer.ID, name string, req, resp proto.Message) error {
	return CallLimited(ctx, h, to, name, Limits{}, req, resp)
}

// CallLimited is Call for a protocol whose limits differ from the defaults.
func CallLimited(ctx context.Context, h *p2p.Host, to peer.ID, name string, l Limits, req, resp proto.Message) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	c, err := OpenLimited(ctx, h, to, name, l)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, c.Reset)
	defer stop()
	if err := exchange(c, req, resp); err != nil {
		c.Reset()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("call %s of %s: %w", name, to, err)
	}
	// The answer is here. The other side has usually closed by now, and closing
	// what is closed is an error with some transports.
	_ = c.Close()
	return nil
}

// exchange keeps our writing side open until the response is here: a stream
// that ends earlier tells the handler that nobody waits any more.
func exchange(c *Conn, req, resp proto.Message) error {
	// A refusal may overtake the request; what the peer said is then in Recv.
	sent := c.Send(req)
	if sent != nil && !errors.Is(sent, ErrReset) {
		return sent
	}
	err := c.Recv(resp)
	if err == io.EOF {
		return fmt.Errorf("no answer: %w", ErrReset)
	}
	return err
}
