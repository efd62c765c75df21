package blob

import (
	"context"
	"fmt"
	"io"

	"github.com/rigmesh/rigmesh/p2p/stream"
)

// body is the content of one answer.
type body struct {
	ctx  context.Context // of the request, which the reading is part of
	r    *Remote
	c    *stream.Conn
	stop func() bool
	size int64 // of the whole blob
	left int64 // not yet received
	buf  []byte
	err  error
	done bool
}

// Size is the length of the whole blob, whatever the offset.
func (b *body) Size() int64 { return b.size }

func (b *body) Read(p []byte) (int, error) {
	if len(b.buf) == 0 {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.buf)
	b.buf = b.buf[n:]
	return n, nil
}

// WriteTo spares io.Copy a buffer.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(b.buf) == 0 {
			if err := b.fill(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(b.buf)
		total += int64(n)
		b.buf = b.buf[n:]
		if err != nil {
			return total, err
		}
	}
}

// fill receives the next chunk. The error it returns it returns ever after.
func (b *body) fill() error {
	if b.err != nil {
		return b.err
	}
	if b.left == 0 {
		b.err = io.EOF
		return b.err
	}
	if b.err = b.receive(); b.err != nil && b.ctx.Err() != nil {
		b.err = b.ctx.Err()
	}
	return b.err
}

// worthMoving is how much must be left for a body to break off on a relay, so that whoever
// reads goes on over the direct connection that has come up.
const worthMoving = 1 << 20

func (b *body) receive() error {
	if b.left > worthMoving && b.r.overtaken(b.c) {
		return fmt.Errorf("leave the relay for a direct connection: %w", stream.ErrReset)
	}
	frame, err := b.c.RecvFrame()
	if err != nil {
		return noEOF(err)
	}
	data, other, err := content(frame)
	if err != nil {
		return err
	}
	if len(data) == 0 || int64(len(data)) > b.left {
		return fmt.Errorf("%w: %d bytes of data (%v), %d expected", stream.ErrMalformed, len(data), other, b.left)
	}
	b.left -= int64(len(data))
	b.buf = data
	return nil
}

// Close gives the stream back, if nothing more is coming on it.
func (b *body) Close() error {
	if b.done {
		return nil
	}
	b.done = true
	intact := b.err == nil || b.err == io.EOF
	if b.stop() && intact && b.left == 0 {
		b.r.keep(b.c)
		return nil
	}
	b.c.Reset()
	return nil
}
