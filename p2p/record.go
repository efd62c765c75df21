package p2p

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Bounds of a peer record. It travels inside announcements and bids, so it is small.
const (
	MaxPeerRecord = 2048 // bytes of the envelope
	maxAddrs      = 12
	maxAddrBytes  = 384 // of our own: an announcement with them stays below 1 KiB
	recordTTL     = time.Hour
)

// ErrPeerRecord says that a peer record is malformed, oversize or not signed
// by the peer it names.
var ErrPeerRecord = errors.New("bad peer record")

// PeerRecord is our current addresses in an envelope signed with our key. It
// is made fresh on every call.
func (h *Host) PeerRecord() ([]byte, error) {
	rec := peer.NewPeerRecord() // numbered by the clock: a later one supersedes
	rec.PeerID = h.ID()
	rec.Addrs = fitting(h.Publishable(h.host.Addrs()))
	envelope, err := record.Seal(rec, h.key)
	if err != nil {
		return nil, fmt.Errorf("sign peer record: %w", err)
	}
	b, err := envelope.Marshal()
	if err != nil {
		return nil, fmt.Errorf("marshal peer record: %w", err)
	}
	return b, nil
}

// AddPeerRecord checks a peer's signed record and remembers its addresses for
// an hour. A record older than one already known changes nothing.
func (h *Host) AddPeerRecord(b []byte) (peer.ID, error) {
	if len(b) > MaxPeerRecord {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrPeerRecord, len(b), MaxPeerRecord)
	}
	var rec peer.PeerRecord
	envelope, err := record.ConsumeTypedEnvelope(b, &rec)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPeerRecord, err)
	}
	if !rec.PeerID.MatchesPublicKey(envelope.PublicKey) {
		return "", fmt.Errorf("%w: names %s and is signed by another key", ErrPeerRecord, rec.PeerID)
	}
	if len(rec.Addrs) > maxAddrs {
		return "", fmt.Errorf("%w: %d addresses, at most %d", ErrPeerRecord, len(rec.Addrs), maxAddrs)
	}
	if rec.PeerID == h.ID() {
		return rec.PeerID, nil
	}
	book, ok := peerstore.GetCertifiedAddrBook(h.host.Peerstore())
	if !ok {
		h.host.Peerstore().AddAddrs(rec.PeerID, rec.Addrs, recordTTL)
		return rec.PeerID, nil
	}
	if _, err := book.ConsumePeerRecord(envelope, recordTTL); err != nil {
		return "", fmt.Errorf("remember addresses of %s: %w", rec.PeerID, err)
	}
	return rec.PeerID, nil
}

// RecordOf is a peer's own record, as it gave it to us or to somebody who passed it
// on in one of our messages; nil without one. What peers tell each other when they connect
// is none: it may name private addresses, and is not for passing on.
func (h *Host) RecordOf(id peer.ID) []byte {
	book, ok := peerstore.GetCertifiedAddrBook(h.host.Peerstore())
	if !ok {
		return nil
	}
	envelope := book.GetPeerRecord(id)
	if envelope == nil {
		return nil
	}
	b, err := envelope.Marshal()
	if err != nil || len(b) > MaxPeerRecord {
		return nil
	}
	return b
}

// Publishable keeps what others may be able to dial, the likeliest first: public, then
// private, then loopback only when there is nothing else. In a network that reaches
// beyond our own, private addresses are left out: they tell strangers how a home is
// built, and lead them nowhere.
func (h *Host) Publishable(addrs []ma.Multiaddr) []ma.Multiaddr {
	sorted := farthestFirst(addrs)
	worst := 2
	if len(sorted) > 0 {
		worst = max(1, nearness(sorted[0]))
	}
	if h.outside() {
		worst = 0
	}
	return slices.DeleteFunc(sorted, func(a ma.Multiaddr) bool { return nearness(a) > worst })
}

// nearness is 0 for an address that leads here from anywhere, 1 for one of our own
// network, 2 for one of this machine alone.
func nearness(a ma.Multiaddr) int {
	switch {
	case manet.IsPublicAddr(a):
		return 0
	case manet.IsIPLoopback(a):
		return 2
	}
	return 1
}

func farthestFirst(addrs []ma.Multiaddr) []ma.Multiaddr {
	sorted := slices.Clone(addrs)
	slices.SortStableFunc(sorted, func(a, b ma.Multiaddr) int { return nearness(a) - nearness(b) })
	return sorted
}

// outside says whether some peer is connected across the internet.
func (h *Host) outside() bool {
	return slices.ContainsFunc(h.host.Network().Conns(), func(c network.Conn) bool { return manet.IsPublicAddr(c.RemoteMultiaddr()) })
}

// fitting keeps as many addresses as a peer record may hold. Those through relays are
// long, and a record travels in announcements.
func fitting(addrs []ma.Multiaddr) []ma.Multiaddr {
	room := maxAddrBytes
	for i, a := range addrs {
		if room -= len(a.Bytes()); room < 0 || i == maxAddrs {
			return addrs[:i]
		}
	}
	return addrs
}
