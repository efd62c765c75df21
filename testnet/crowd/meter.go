package crowd

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// meter counts the bytes that hosts send on their streams. libp2p's own counter has a
// goroutine that never ends, and no bubble comes to rest with it.
type meter struct {
	sent atomic.Int64
	metrics.Reporter
}

func (m *meter) LogSentMessage(n int64)                           { m.sent.Add(n) }
func (m *meter) LogRecvMessage(int64)                             {}
func (m *meter) LogSentMessageStream(int64, protocol.ID, peer.ID) {}
func (m *meter) LogRecvMessageStream(int64, protocol.ID, peer.ID) {}
func (m *meter) TrimIdle(time.Time)                               {}
