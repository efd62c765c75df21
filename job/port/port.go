// Package port carries a TCP connection in frames over the stream of a lease, and puts two
// connections together.
package port

import (
	"errors"
	"fmt"
	"io"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// MaxData is how much of a connection travels in one frame, in bytes.
const MaxData = 64 << 10

// ErrCut: the stream ended before the connection did.
var ErrCut = errors.New("the connection was cut")

// Link carries frames. Send and Recv may each be used by one goroutine at a time.
type Link interface {
	Send(*leasev1.PortFrame) error
	Recv(*leasev1.PortFrame) error
	// Close ends it; what was sent still arrives.
	Close() error
	// Reset ends it at once, for both ends.
	Reset()
}

// Conn is a connection whose two directions end on their own.
type Conn interface {
	io.ReadWriteCloser
	// CloseWrite says that nothing more will be written; Read goes on.
	CloseWrite() error
}

// New makes a connection of a link on which it was opened already.
func New(l Link) Conn { return &framed{link: l} }

type framed struct {
	link Link
	rest []byte // of the frame received last
	over bool   // the other side has said so
	said bool   // and this one has
}

// Read implements io.Reader.
func (c *framed) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.over {
			return 0, io.EOF
		}
		var f leasev1.PortFrame
		if err := c.link.Recv(&f); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrCut, err)
		}
		switch f := f.Frame.(type) {
		case *leasev1.PortFrame_Data:
			c.rest = f.Data
		case *leasev1.PortFrame_End:
			c.over = true
		default:
			return 0, fmt.Errorf("frame %T in a connection", f)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements io.Writer.
func (c *framed) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(len(p)-done, MaxData)
		if err := c.link.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_Data{Data: p[done : done+n]}}); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// CloseWrite implements Conn.
func (c *framed) CloseWrite() error {
	c.said = true
	return c.link.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_End{End: &leasev1.PortEnd{}}})
}

// Close implements io.Closer. No other method may be in progress.
func (c *framed) Close() error {
	if c.over && c.said {
		return c.link.Close()
	}
	c.cut()
	return nil
}

func (c *framed) cut() { c.link.Reset() }
