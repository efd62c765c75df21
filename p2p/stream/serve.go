package stream

import (
	"context"
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p"
)

// Server answers the streams of one protocol until it or its host is closed.
type Server struct {
	h      *p2p.Host
	name   string
	limits Limits
	log    *slog.Logger
	handle func(context.Context, *Conn)
	notify *network.NotifyBundle

	mu      sync.Mutex
	closed  bool
	perPeer map[peer.ID]int
	conns   map[*Conn]struct{}
	running sync.WaitGroup
}

// Serve answers requests: fn is called once per stream and may be called
// concurrently. Its ctx ends when the caller gives up or the server closes. An
// error of fn reaches the caller as ErrFailed, without its text.
func Serve[Q any, P interface {
	*Q
	proto.Message
}, R proto.Message](h *p2p.Host, name string, l Limits, fn func(ctx context.Context, from peer.ID, req P) (R, error)) *Server {
	log := h.Log().With("protocol", name)
	return Accept(h, name, l, func(ctx context.Context, c *Conn) {
		req := P(new(Q))
		if err := c.Recv(req); err != nil {
			log.Debug("request not read", "peer", c.Peer(), "err", err)
			c.Reset()
			return
		}
		c.WatchEnd()
		resp, err := fn(ctx, c.Peer(), req)
		if err != nil {
			log.Debug("request not answered", "peer", c.Peer(), "err", err)
			c.fail(codeFailed)
			return
		}
		if err := c.Send(resp); err != nil {
			log.Debug("response not sent", "peer", c.Peer(), "err", err)
			c.fail(codeFailed)
		}
	})
}

// Accept serves long-lived streams: fn is called once per stream, may be called
// concurrently, and the stream closes when it returns. Its ctx ends when Send or
// Recv meets the end of the stream, when the connection ends, when the server
// closes, and, after Conn.WatchEnd, on any reset.
func Accept(h *p2p.Host, name string, l Limits, fn func(context.Context, *Conn)) *Server {
	s := &Server{
		h: h, name: name, limits: l.withDefaults(), log: h.Log(), handle: fn,
		perPeer: make(map[peer.ID]int),
		conns:   make(map[*Conn]struct{}),
	}
	s.notify = &network.NotifyBundle{DisconnectedF: func(_ network.Network, gone network.Conn) { s.dropConn(gone) }}
	h.Libp2p().Network().Notify(s.notify)
	h.Libp2p().SetStreamHandler(h.Protocol(name), s.accept)
	h.OnClose(s.Close)
	return s
}

func (s *Server) accept(raw network.Stream) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := newConn(raw, s.limits, cancel)
	if !s.admit(c) {
		_ = raw.ResetWithError(network.StreamResourceLimitExceeded)
		s.log.Debug("stream refused", "protocol", s.name, "peer", c.Peer(), "err", ErrBusy)
		return
	}
	defer s.release(c)
	defer c.Close()
	c.awaitFirst(s.limits.First)
	s.handle(ctx, c)
}

// admit counts a stream in, unless its peer or everybody together has too many.
func (s *Server) admit(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := c.Peer()
	if s.closed || len(s.conns) >= s.limits.Total || s.perPeer[p] >= s.limits.PerPeer {
		return false
	}
	s.perPeer[p]++
	s.conns[c] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) release(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := c.Peer()
	if s.perPeer[p]--; s.perPeer[p] == 0 {
		delete(s.perPeer, p)
	}
	delete(s.conns, c)
	s.running.Done()
}

// dropConn ends the handlers whose connection is gone.
func (s *Server) dropConn(gone network.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.s.Conn() == gone {
			c.cancel()
		}
	}
}

// Close takes no new streams, resets the ones there are and returns when every
// handler has.
func (s *Server) Close() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	for c := range s.conns {
		go c.Reset() // it may flush, which must not hold up the others
	}
	s.mu.Unlock()
	if first {
		s.h.Libp2p().RemoveStreamHandler(s.h.Protocol(s.name))
		s.h.Libp2p().Network().StopNotify(s.notify)
	}
	s.running.Wait()
}
