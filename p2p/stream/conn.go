// Package stream carries protobuf messages over libp2p streams: one request and
// one response, or a long-lived conversation.
//
// A frame is the message's length as a varint, then the message. Lengths are
// bounded before anything is allocated, a frame once begun must arrive in time,
// and a stream that is merely idle is left alone.
package stream

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// Limits bound what a stream may cost. Zero fields take the defaults.
type Limits struct {
	MaxMessage int           // bytes of one message, both ways; 256 KiB
	PerPeer    int           // concurrent streams from one peer, when serving; 32
	Total      int           // concurrent streams from everybody, when serving; 1024
	First      time.Duration // until an accepted stream's first frame begins; 10 s
	Frame      time.Duration // for a frame that has begun, to read or to write; 15 s
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.MaxMessage, 256<<10)
	set(&l.PerPeer, 32)
	set(&l.Total, 1024)
	if l.First == 0 {
		l.First = 10 * time.Second
	}
	if l.Frame == 0 {
		l.Frame = 15 * time.Second
	}
	return l
}

const (
	readAhead  = 64 << 10  // most that is allocated on the word of a length alone
	keepBuffer = 512 << 10 // larger buffers are not kept between frames
)

// Conn is one stream of messages. Send and Recv may each be used by one
// goroutine at a time; the rest by any.
type Conn struct {
	s      network.Stream
	r      *bufio.Reader
	limits Limits
	cancel context.CancelFunc // ends the serving side's ctx; nil on the side that opened

	in, out []byte

	mu            sync.Mutex
	readBy        time.Time // what SetDeadline said; zero: never
	writeBy       time.Time
	awaitingFirst bool
	closed        bool // by this side
}

func newConn(s network.Stream, l Limits, cancel context.CancelFunc) *Conn {
	return &Conn{s: s, r: bufio.NewReader(s), limits: l, cancel: cancel}
}

// Peer is who is at the other end, as proven by the connection.
func (c *Conn) Peer() peer.ID { return c.s.Conn().RemotePeer() }

// Limited says that the connection runs over a relay that cuts it after little
// data or time.
func (c *Conn) Limited() bool { return c.s.Conn().Stat().Limited }

// Send writes one message. After any error but ErrTooLarge the stream is gone.
func (c *Conn) Send(m proto.Message) error {
	size := proto.Size(m)
	if size > c.limits.MaxMessage {
		return fmt.Errorf("send %d bytes to %s: %w (%d)", size, c.Peer(), ErrTooLarge, c.limits.MaxMessage)
	}
	b := binary.AppendUvarint(slices.Grow(c.out[:0], size+binary.MaxVarintLen32), uint64(size))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
	if err != nil {
		return fmt.Errorf("marshal %T: %w", m, err)
	}
	if cap(b) <= keepBuffer {
		c.out = b[:0]
	}
	return c.SendFrames(b)
}

// SendFrames writes bytes that are already framed, for senders of bulk data
// that build their own frames; b is theirs again afterwards. The same rules hold
// as for Send.
func (c *Conn) SendFrames(b []byte) error {
	c.mu.Lock()
	_ = c.s.SetWriteDeadline(earlier(c.writeBy, time.Now().Add(c.limits.Frame)))
	c.mu.Unlock()
	if _, err := c.s.Write(b); err != nil {
		c.fail(network.StreamNoError)
		return fmt.Errorf("send to %s: %w", c.Peer(), classify(err))
	}
	return nil
}

// Recv reads one message into m. io.EOF means that the other side is done. A
// deadline that passes between frames, an os.ErrDeadlineExceeded, leaves the
// stream usable; after any other error it is gone.
func (c *Conn) Recv(m proto.Message) error {
	frame, err := c.RecvFrame()
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(frame, m); err != nil {
		c.fail(network.StreamProtocolViolation)
		return fmt.Errorf("receive %T from %s: %w: %w", m, c.Peer(), ErrMalformed, err)
	}
	return nil
}

// RecvFrame reads one message's bytes, which are good until the next call.
func (c *Conn) RecvFrame() ([]byte, error) {
	if _, err := c.r.Peek(1); err != nil {
		return nil, c.endOfFrames(err)
	}
	c.mu.Lock()
	c.awaitingFirst = false
	_ = c.s.SetReadDeadline(earlier(c.readBy, time.Now().Add(c.limits.Frame)))
	c.mu.Unlock()
	frame, err := c.readFrame()
	if err != nil {
		code := network.StreamNoError
		if isViolation(err) {
			code = network.StreamProtocolViolation
		}
		c.failRecv(code)
		return nil, fmt.Errorf("receive from %s: %w", c.Peer(), classify(err))
	}
	c.mu.Lock()
	_ = c.s.SetReadDeadline(c.readBy)
	c.mu.Unlock()
	return frame, nil
}

// endOfFrames names an error met between two frames.
func (c *Conn) endOfFrames(err error) error {
	if err == io.EOF {
		return io.EOF
	}
	err = classify(err)
	if !isTimeout(err) || c.stillAwaitingFirst() {
		c.failRecv(network.StreamNoError)
	}
	return fmt.Errorf("receive from %s: %w", c.Peer(), err)
}

// failRecv resets the stream, unless this side closed it: a reset would take with it
// what was sent last.
func (c *Conn) failRecv(code network.StreamErrorCode) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	switch {
	case !closed:
		c.fail(code)
	case c.cancel != nil:
		c.cancel()
	}
}

// readSize reads a length: no limit of ours needs more than five bytes of it.
func (c *Conn) readSize() (uint64, error) {
	var size uint64
	for shift := 0; shift < 35; shift += 7 {
		b, err := c.r.ReadByte()
		if err != nil {
			return 0, cutShort(err)
		}
		size |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return size, nil
		}
	}
	return 0, fmt.Errorf("%w: endless length", ErrMalformed)
}

func (c *Conn) readFrame() ([]byte, error) {
	size, err := c.readSize()
	if err != nil {
		return nil, err
	}
	if size > uint64(c.limits.MaxMessage) {
		return nil, fmt.Errorf("%d bytes: %w (%d)", size, ErrTooLarge, c.limits.MaxMessage)
	}
	b := c.in[:0]
	for n := int(size); len(b) < n; {
		// Memory follows what has arrived, not what was promised.
		step := min(n-len(b), max(readAhead, len(b), cap(b)-len(b)))
		b = slices.Grow(b, step)
		at := len(b)
		b = b[:at+step]
		if _, err := io.ReadFull(c.r, b[at:]); err != nil {
			return nil, cutShort(err)
		}
	}
	if cap(b) <= keepBuffer {
		c.in = b[:0]
	}
	return b, nil
}

// SetDeadline bounds waiting in Send and Recv, also calls in progress. The zero
// time waits for ever.
func (c *Conn) SetDeadline(t time.Time) {
	c.SetReadDeadline(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	_ = c.s.SetWriteDeadline(t)
}

// SetReadDeadline bounds waiting in Recv alone.
func (c *Conn) SetReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	c.awaitingFirst = false
	_ = c.s.SetReadDeadline(t)
}

// awaitFirst gives an accepted stream until d to say something.
func (c *Conn) awaitFirst(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaitingFirst = true
	_ = c.s.SetReadDeadline(time.Now().Add(d))
}

func (c *Conn) stillAwaitingFirst() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.awaitingFirst
}

// CloseWrite says that nothing more will be sent; Recv goes on.
func (c *Conn) CloseWrite() error { return c.s.CloseWrite() }

// Close ends the stream; what was sent still arrives. A Recv that waits returns.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.s.Close()
}

// Reset ends the stream at once, for both sides; what is under way is lost.
func (c *Conn) Reset() { c.fail(network.StreamNoError) }

// WatchEnd is for a serving side that expects no further frame: from now on the
// handler's ctx ends as soon as the other side resets the stream, without
// anything being sent to it. Recv must not be used any more.
func (c *Conn) WatchEnd() {
	go func() {
		if _, err := c.r.Peek(1); err == io.EOF {
			return // it sends no more, and may still be reading
		}
		// Our own Close ends this wait too, and what was sent must still arrive
		// then: so no reset from here.
		if c.cancel != nil {
			c.cancel()
		}
	}()
}

func (c *Conn) fail(code network.StreamErrorCode) {
	_ = c.s.ResetWithError(code)
	if c.cancel != nil {
		c.cancel()
	}
}

func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
