package stream_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Started once for the process by libp2p's dependencies.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
	)
}

type chunk = leasev1.Chunk

func text(s string) *chunk { return &chunk{Data: []byte(s)} }

// pair are two connected hosts.
func pair(t *testing.T) (a, b *p2p.Host) {
	t.Helper()
	hosts := p2ptest.Loopback(t, 2)
	p2ptest.Connect(t, hosts[0], hosts[1])
	return hosts[0], hosts[1]
}

func echo(_ context.Context, _ peer.ID, req *chunk) (*chunk, error) { return req, nil }

func TestCallReturnsTheResponse(t *testing.T) {
	a, b := pair(t)
	stream.Serve(b, "echo", stream.Limits{}, func(_ context.Context, from peer.ID, req *chunk) (*chunk, error) {
		return text(string(req.GetData()) + " from " + from.String()), nil
	})
	var resp chunk
	if err := stream.Call(t.Context(), a, b.ID(), "echo", text("hello"), &resp); err != nil {
		t.Fatal(err)
	}
	if want := "hello from " + a.ID().String(); string(resp.GetData()) != want {
		t.Errorf("got %q, want %q", resp.GetData(), want)
	}
}

func TestACallMayCarryWhatItsLimitsAllow(t *testing.T) {
	a, b := pair(t)
	wide := stream.Limits{MaxMessage: 1 << 20}
	stream.Serve(b, "echo", wide, echo)
	large := text(strings.Repeat("x", 1<<19))
	var resp chunk
	if err := stream.CallLimited(t.Context(), a, b.ID(), "echo", wide, large, &resp); err != nil || len(resp.Data) != 1<<19 {
		t.Errorf("%d bytes, %v", len(resp.Data), err)
	}
}

func TestCallConnectsByItself(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	p2ptest.Introduce(t, hosts[0], hosts[1])
	stream.Serve(hosts[1], "echo", stream.Limits{}, echo)
	if err := stream.Call(t.Context(), hosts[0], hosts[1].ID(), "echo", text("x"), &chunk{}); err != nil {
		t.Fatal(err)
	}
}

func TestCallNamesWhatWentWrong(t *testing.T) {
	a, b := pair(t)
	stream.Serve(b, "fails", stream.Limits{}, func(context.Context, peer.ID, *chunk) (*chunk, error) {
		return nil, errors.New("a secret of the other side")
	})
	stream.Serve(b, "small", stream.Limits{MaxMessage: 10}, echo)
	stream.Serve(b, "large", stream.Limits{MaxMessage: 1 << 20}, func(context.Context, peer.ID, *chunk) (*chunk, error) {
		return text(strings.Repeat("x", 1<<19)), nil
	})
	cfg := p2ptest.Config(t)
	cfg.Listen = cfg.Listen[:1] // QUIC would take five seconds to see that nobody is there
	nobody := p2ptest.New(t, cfg)
	p2ptest.Introduce(t, a, nobody)
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		to   peer.ID
		name string
		req  *chunk
		want error
	}{
		"protocol not spoken": {b.ID(), "unheard-of", text("x"), stream.ErrProtocol},
		"handler failed":      {b.ID(), "fails", text("x"), stream.ErrFailed},
		"request too large":   {b.ID(), "fails", text(strings.Repeat("x", 1<<19)), stream.ErrTooLarge},
		"refused as large":    {b.ID(), "small", text("more than ten bytes"), stream.ErrReset},
		"response too large":  {b.ID(), "large", text("x"), stream.ErrTooLarge},
		"nobody there":        {nobody.ID(), "echo", text("x"), p2p.ErrUnreachable},
		"no address":          {"12D3KooW", "echo", text("x"), p2p.ErrUnreachable},
		"oneself":             {a.ID(), "echo", text("x"), p2p.ErrSelf},
	} {
		t.Run(name, func(t *testing.T) {
			err := stream.Call(t.Context(), a, c.to, c.name, c.req, &chunk{})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the handler's text went over the wire: %v", err)
			}
		})
	}
}

func TestHandlerHearsThatItsCallerGaveUp(t *testing.T) {
	a, b := pair(t)
	called, ended := make(chan struct{}), make(chan struct{})
	stream.Serve(b, "slow", stream.Limits{}, func(ctx context.Context, _ peer.ID, req *chunk) (*chunk, error) {
		close(called)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-called; cancel() }()
	if err := stream.Call(ctx, a, b.ID(), "slow", text("x"), &chunk{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	<-ended
}

func TestHandlerHearsThatTheConnectionIsGone(t *testing.T) {
	a, b := pair(t)
	opened, ended := make(chan struct{}), make(chan struct{})
	stream.Accept(b, "idle", stream.Limits{}, func(ctx context.Context, c *stream.Conn) {
		if err := c.Recv(&chunk{}); err != nil {
			t.Error(err)
		}
		close(opened)
		<-ctx.Done()
		close(ended)
	})
	c, err := stream.Open(t.Context(), a, b.ID(), "idle")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(text("x")); err != nil {
		t.Fatal(err)
	}
	<-opened
	if err := a.Libp2p().Network().ClosePeer(b.ID()); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func TestServerCloseEndsItsHandlersAndTakesNoMore(t *testing.T) {
	a, b := pair(t)
	opened, ended := make(chan struct{}), false
	s := stream.Accept(b, "idle", stream.Limits{}, func(ctx context.Context, c *stream.Conn) {
		_ = c.Recv(&chunk{})
		close(opened)
		<-ctx.Done()
		ended = true
	})
	c, err := stream.Open(t.Context(), a, b.ID(), "idle")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(text("x")); err != nil {
		t.Fatal(err)
	}
	<-opened
	s.Close()
	if !ended {
		t.Error("Close returned before the handler")
	}
	if err := c.Recv(&chunk{}); !errors.Is(err, stream.ErrReset) {
		t.Errorf("got %v, want ErrReset", err)
	}
	if err := stream.Call(t.Context(), a, b.ID(), "idle", text("x"), &chunk{}); err == nil {
		t.Error("a closed server answered")
	}
}

func TestBothSidesTalkOverOneStream(t *testing.T) {
	a, b := pair(t)
	stream.Accept(b, "talk", stream.Limits{}, func(_ context.Context, c *stream.Conn) {
		for {
			var m chunk
			if err := c.Recv(&m); err == io.EOF {
				_ = c.Send(text("bye"))
				return
			} else if err != nil {
				t.Error(err)
				return
			}
			if err := c.Send(&m); err != nil {
				t.Error(err)
			}
		}
	})
	c, err := stream.Open(t.Context(), a, b.ID(), "talk")
	if err != nil {
		t.Fatal(err)
	}
	var m chunk
	for _, s := range []string{"one", "", strings.Repeat("long", 30_000)} {
		if err := c.Send(text(s)); err != nil {
			t.Fatal(err)
		}
		if err := c.Recv(&m); err != nil || string(m.GetData()) != s {
			t.Fatalf("got %.10q %v, want %.10q", m.GetData(), err, s)
		}
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := c.Recv(&m); err != nil || string(m.GetData()) != "bye" {
		t.Errorf("after CloseWrite: got %q %v", m.GetData(), err)
	}
	if err := c.Recv(&m); err != io.EOF {
		t.Errorf("at the end: got %v, want io.EOF", err)
	}
}

func TestWhatWasSentLastArrivesThoughTheSenderStillReads(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		a, b := hosts[0], hosts[1]
		p2ptest.Connect(t, a, b)
		stream.Accept(b, "last", stream.Limits{}, func(ctx context.Context, c *stream.Conn) {
			if err := c.Recv(&chunk{}); err != nil {
				t.Error(err)
			}
			go func() { _ = c.Recv(&chunk{}) }()
			time.Sleep(time.Second) // it reads
			if err := errors.Join(c.Send(text("the last word")), c.Close()); err != nil {
				t.Error(err)
			}
			<-ctx.Done() // the reader returns, and ends it
		})
		c, err := stream.Open(t.Context(), a, b.ID(), "last")
		if err != nil {
			t.Fatal(err)
		}
		var got chunk
		if err := errors.Join(c.Send(text("hello")), c.Recv(&got)); err != nil || string(got.Data) != "the last word" {
			t.Errorf("%q, %v", got.Data, err)
		}
		if err := c.Recv(&got); !errors.Is(err, io.EOF) {
			t.Errorf("then %v, and not its end", err)
		}
		_ = c.Close()
	})
}

func TestAnIdleStreamIsLeftAlone(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		a, b := hosts[0], hosts[1]
		p2ptest.Connect(t, a, b)
		stream.Accept(b, "kept", stream.Limits{}, func(_ context.Context, c *stream.Conn) {
			var m chunk
			for c.Recv(&m) == nil {
				if err := c.Send(&m); err != nil {
					t.Error(err)
				}
			}
		})
		c, err := stream.Open(t.Context(), a, b.ID(), "kept")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := c.Send(text("x")); err != nil {
				t.Fatal(err)
			}
			if err := c.Recv(&chunk{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // of the bubble's time
		}
		c.Reset()
	})
}

func TestADeadlineBetweenFramesLeavesTheStreamUsable(t *testing.T) {
	a, b := pair(t)
	say := make(chan string)
	defer close(say)
	stream.Accept(b, "late", stream.Limits{}, func(_ context.Context, c *stream.Conn) {
		_ = c.Recv(&chunk{})
		for s := range say {
			_ = c.Send(text(s))
		}
	})
	c, err := stream.Open(t.Context(), a, b.ID(), "late")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(text("x")); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Millisecond))
	var m chunk
	if err := c.Recv(&m); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want os.ErrDeadlineExceeded", err)
	}
	c.SetDeadline(time.Time{})
	say <- "at last"
	if err := c.Recv(&m); err != nil || string(m.GetData()) != "at last" {
		t.Errorf("got %q %v", m.GetData(), err)
	}
}

func TestASilentOrSlowOpenerIsCutOff(t *testing.T) {
	for name, say := range map[string]string{"silent": "", "half a frame": "\x05ab"} {
		t.Run(name, func(t *testing.T) {
			p2ptest.Bubble(t, func(t *testing.T) {
				hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
				a, b := hosts[0], hosts[1]
				p2ptest.Connect(t, a, b)
				got := make(chan error, 1)
				stream.Accept(b, "first", stream.Limits{}, func(ctx context.Context, c *stream.Conn) {
					got <- c.Recv(&chunk{})
					<-ctx.Done()
				})
				s, err := a.Libp2p().NewStream(t.Context(), b.ID(), b.Protocol("first"))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Reset()
				if _, err := io.WriteString(s, say); err != nil { // even nothing tells the protocol
					t.Fatal(err)
				}
				start := time.Now()
				if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
				}
				if waited := time.Since(start); waited > 20*time.Second {
					t.Errorf("cut off after %v", waited)
				}
				synctest.Wait()
			})
		})
	}
}

func TestMalformedFramesEndTheStreamAndNothingElse(t *testing.T) {
	a, b := pair(t)
	got := make(chan error)
	stream.Accept(b, "strict", stream.Limits{MaxMessage: 1000}, func(_ context.Context, c *stream.Conn) {
		got <- c.Recv(&chunk{})
	})
	for name, c := range map[string]struct {
		bytes string
		want  error
		cut   bool // it is wrong only because it ends; others may be refused before they have ended
	}{
		"endless length":  {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", stream.ErrMalformed, false},
		"oversize length": {"\xff\xff\xff\xff\x0f", stream.ErrTooLarge, false},
		"one too many":    {"\xe9\x07", stream.ErrTooLarge, false},
		"cut length":      {"\xff", stream.ErrMalformed, true},
		"cut message":     {"\x05ab", stream.ErrMalformed, true},
		"not protobuf":    {"\x03\x1a\x7fa", stream.ErrMalformed, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := a.Libp2p().NewStream(t.Context(), b.ID(), b.Protocol("strict"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(s, c.bytes); err != nil {
				t.Fatal(err)
			}
			if err := s.CloseWrite(); err != nil && c.cut {
				t.Error(err)
			}
			if err := <-got; !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestOnePeerCannotTakeAllStreams(t *testing.T) {
	hosts := p2ptest.Loopback(t, 3)
	server, greedy, other := hosts[0], hosts[1], hosts[2]
	p2ptest.Connect(t, greedy, server)
	p2ptest.Connect(t, other, server)
	arrived := make(chan peer.ID)
	stream.Accept(server, "scarce", stream.Limits{PerPeer: 2, Total: 3}, func(ctx context.Context, c *stream.Conn) {
		_ = c.Recv(&chunk{})
		arrived <- c.Peer()
		<-ctx.Done()
	})
	open := func(h *p2p.Host) *stream.Conn {
		c, err := stream.Open(t.Context(), h, server.ID(), "scarce")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Send(text("x"))
		return c
	}
	refused := func(h *p2p.Host) {
		t.Helper()
		if err := open(h).Recv(&chunk{}); !errors.Is(err, stream.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
	}
	first := open(greedy)
	<-arrived
	open(greedy)
	<-arrived
	refused(greedy)
	open(other)
	<-arrived
	refused(other) // three in all
	_ = first.Close()
}

func TestARelayedConnectionCarriesStreams(t *testing.T) {
	hosts := p2ptest.Loopback(t, 3)
	a, b := hosts[0], hosts[1]
	stream.Serve(b, "echo", stream.Limits{}, echo)
	p2ptest.Relayed(t, a, b, hosts[2])
	c, err := stream.Open(t.Context(), a, b.ID(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	if !c.Limited() {
		t.Error("a relayed connection is not called limited")
	}
	c.Reset()
	if err := stream.Call(t.Context(), a, b.ID(), "echo", text("x"), &chunk{}); err != nil {
		t.Error(err)
	}
}

// FuzzFrames sends arbitrary bytes as a stream: an error or messages, never a
// panic, and never more memory than has arrived.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x03\x1a\x01a\x00"))
	f.Add([]byte("\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) { stream.ReadAllForTest(b) })
}
