package session

import (
	"context"
	"errors"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// maxBadFrames cuts a stream that keeps sending what does not verify.
const maxBadFrames = 16

// Link is a stream between the two sides of a lease: length-delimited messages,
// one reader and one writer at a time. The transport vouches for Peer.
type Link interface {
	Send(proto.Message) error
	Recv(proto.Message) error
	Close() error
	Reset()
	Peer() peer.ID
}

// frame wraps a statement for the kept stream.
func frame(s *marketv1.Signed) *leasev1.BeatFrame {
	switch statement.Type(s.Type) {
	case statement.TypeChallenge:
		return &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Challenge{Challenge: s}}
	case statement.TypeBeat:
		return &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Beat{Beat: s}}
	case statement.TypeAck:
		return &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Ack{Ack: s}}
	default:
		return &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Close{Close: s}}
	}
}

// Send writes to the other side, from the session's goroutine only. What is lost
// is said again when the rules ask for it, or on the next stream.
func (s *Session) Send(m proto.Message) {
	if s.link == nil {
		return
	}
	if err := s.link.Send(m); err != nil {
		s.Log.Debug("send", "err", err)
		s.link.Reset() // the reader sees it and reports the link lost
	}
}

func (s *Session) take(ctx context.Context, link Link) {
	s.unlink()
	s.link = link
	go s.read(ctx, link)
	if l := s.Lease(); l.Role == lease.Worker && l.LastSeal() != nil {
		s.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Seal{Seal: l.LastSeal()}})
	}
	if s.Lease().Role == lease.Worker {
		for _, a := range s.Lease().Attests() {
			s.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Attest{Attest: a}})
		}
	}
	for _, st := range s.Lease().Pending() { // what the other side may not have heard
		s.Send(frame(st))
	}
	s.linked(ctx, true)
}

func (s *Session) unlink() {
	if s.link != nil {
		s.link.Reset()
		s.link = nil
	}
}

// part ends the stream for good. After the end of a lease what was sent must
// still arrive, and the other side sees that we were the ones to go.
func (s *Session) part() {
	if s.link != nil && s.Lease().State().Ended() {
		_ = s.link.Close()
		s.link = nil
	}
	s.unlink()
}

// parting is a stream that ended; politely, when the other side closed it.
type parting struct {
	link   Link
	polite bool
}

// lose deals with a stream that ended. A side whose lease has ended closes it,
// and only then: it has heard all it needs.
func (s *Session) lose(ctx context.Context, p parting) {
	if p.link != s.link {
		return
	}
	s.heard = p.polite && s.Lease().State().Ended()
	s.unlink()
	if !s.heard {
		s.linked(ctx, false)
	}
}

func (s *Session) linked(ctx context.Context, up bool) {
	if s.Linked != nil {
		s.Linked(ctx, up)
	}
}

// read turns what comes on a stream into events until the stream ends.
func (s *Session) read(ctx context.Context, link Link) {
	err := s.receive(ctx, link)
	select {
	case s.parted <- parting{link, errors.Is(err, io.EOF)}:
	case <-s.done:
	}
}

func (s *Session) receive(ctx context.Context, link Link) error {
	for bad := 0; bad < maxBadFrames; {
		var f leasev1.BeatFrame
		if err := link.Recv(&f); err != nil {
			return err
		}
		if f.Frame == nil {
			continue // of a kind that a later version has
		}
		ev, err := s.Decode(&f)
		if err != nil {
			bad++
			s.Log.Debug("frame refused", "err", err)
			continue
		}
		if ev != nil {
			s.Post(ctx, ev)
		}
	}
	return errBadFrames
}

var errBadFrames = errors.New("too many frames that do not verify")
