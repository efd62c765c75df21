package stream

import (
	"bytes"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// bytesStream is a stream that holds bytes and forgets what is written.
type bytesStream struct {
	network.Stream
	r *bytes.Reader
}

func (s bytesStream) Read(p []byte) (int, error)                   { return s.r.Read(p) }
func (s bytesStream) SetReadDeadline(time.Time) error              { return nil }
func (s bytesStream) ResetWithError(network.StreamErrorCode) error { return nil }
func (s bytesStream) Conn() network.Conn                           { return noConn{} }

type noConn struct{ network.Conn }

func (noConn) RemotePeer() peer.ID { return "somebody" }

// ReadAllForTest reads frames until the end or an error.
func ReadAllForTest(b []byte) {
	c := newConn(bytesStream{r: bytes.NewReader(b)}, Limits{}.withDefaults(), nil)
	for {
		var m leasev1.TaskFrame
		if c.Recv(&m) != nil {
			return
		}
	}
}
