package session_test

import (
	"errors"
	"io"
	"testing"

	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func stop(grace int64) *leasev1.BeatFrame {
	return &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Stop{Stop: &leasev1.Stop{GraceMs: grace}}}
}

func TestWhatWasSentBeforeACloseArrives(t *testing.T) {
	a, b := session.Pipe("a", "b")
	if a.Peer() != "b" || b.Peer() != "a" {
		t.Errorf("ends of %s and %s", a.Peer(), b.Peer())
	}
	for n := range int64(10) {
		if err := a.Send(stop(n)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = a.Close(), a.Close()
	if err := a.Send(stop(0)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("sent after the close: %v", err)
	}
	if err := b.Send(stop(99)); err != nil {
		t.Errorf("the other direction is closed as well: %v", err)
	}
	for n := range int64(10) {
		var f leasev1.BeatFrame
		if err := b.Recv(&f); err != nil || f.GetStop().GetGraceMs() != n {
			t.Fatalf("message %d: %v, %v", n, &f, err)
		}
	}
	if err := b.Recv(&leasev1.BeatFrame{}); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if a.Context().Err() == nil {
		t.Error("the stream goes on after both know that it ended")
	}
}

func TestAResetEndsBothEndsAtOnce(t *testing.T) {
	a, b := session.Pipe("a", "b")
	got := make(chan error)
	go func() { got <- b.Recv(&leasev1.BeatFrame{}) }()
	a.Reset()
	if err := <-got; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Recv: %v", err)
	}
	for range 1000 { // also while the other end closes
		a, b := session.Pipe("a", "b")
		done := make(chan struct{})
		go func() { _ = b.Close(); b.Reset(); close(done) }()
		for b.Send(stop(1)) == nil {
			if a.Recv(&leasev1.BeatFrame{}) != nil {
				break
			}
		}
		<-done
	}
}

func TestTheReceiverHasACopy(t *testing.T) {
	a, b := session.Pipe("a", "b")
	defer a.Reset()
	m := stop(1)
	if err := a.Send(m); err != nil {
		t.Fatal(err)
	}
	m.GetStop().GraceMs = 2
	var f leasev1.BeatFrame
	if err := b.Recv(&f); err != nil || f.GetStop().GetGraceMs() != 1 {
		t.Errorf("got %v, %v", &f, err)
	}
}
