package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// packing is a store that takes folders as the test has it.
type packing struct {
	folders
	times atomic.Int32
	pack  func(worker.Packed) (worker.Packed, error)
}

func (p *packing) Pack(ctx context.Context, dir string) (worker.Packed, error) {
	p.times.Add(1)
	packed, err := p.folders.Pack(ctx, dir)
	if err != nil {
		return packed, err
	}
	return p.pack(packed)
}

// full has no room until that moment.
func full(until time.Time) *packing {
	return &packing{pack: func(p worker.Packed) (worker.Packed, error) {
		if time.Now().Before(until) {
			return worker.Packed{}, fmt.Errorf("put blob: %w", syscall.ENOSPC)
		}
		return p, nil
	}}
}

// told reads a task's stream to its end, for what its requester is told.
func (b *bench) told(id []byte) (notices string, ended *leasev1.Ended) {
	b.t.Helper()
	near, far := session.Pipe(sessiontest.Peer(b.t, requesterKey), sessiontest.Peer(b.t, workerKey))
	go func() { _ = b.Follow(far.Context(), &leasev1.TaskRequest{LeaseId: id}, far) }()
	defer near.Reset()
	for ended == nil {
		var f leasev1.TaskFrame
		if err := near.Recv(&f); err != nil {
			b.t.Fatal(err)
		}
		notices += f.GetProgress().GetNotice() + "\n"
		ended = f.GetEnded()
	}
	return notices, ended
}

func TestOutputsWaitForRoomOnTheWorkersDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.folders = full(time.Now().Add(time.Minute))
		b.unread.Store(true)
		b.start()
		defer b.stop()
		s, id := running(b, outputs, "sleep 1s")
		time.Sleep(2 * time.Second)
		notices, ended := b.told(id)
		if len(ended.Outputs) != 1 || ended.Outputs[0].Path != "/out" || !strings.Contains(notices, "/out waits until there is room") {
			t.Errorf("ended %v; told %q", ended, notices)
		}
		b.unread.Store(false)
		<-s.Done()
		time.Sleep(time.Minute)
		if c := s.Lease(); c.State() != lease.Closed || !bytes.Equal(closeOf(t, b).OutputsDigest, job.OutputsDigest(ended.Outputs)) {
			t.Errorf("%s, and the close names other outputs", c.State())
		}
	})
}

// closeOf is the close in the receipt that was kept last.
func closeOf(t *testing.T, b *bench) *leasev1.Close {
	t.Helper()
	var c leasev1.Close
	if err := proto.Unmarshal(b.kept.last().GetClose(), &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestWhatIsNotCollectedIsToldWithItsReason(t *testing.T) {
	for name, c := range map[string]struct {
		left int // of its files
		err  error
		want string
	}{
		"too much": {0, errors.New("more than 100000 entries"), "/out cannot be collected: more than 100000 entries"},
		"odd":      {3, nil, "3 left out of /out, as \"a socket\""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.folders = &packing{pack: func(p worker.Packed) (worker.Packed, error) {
					p.Left = c.left
					if c.left > 0 {
						p.Skipped = []string{"a socket"}
					}
					return p, c.err
				}}
				b.unread.Store(true)
				b.start()
				defer b.stop()
				s, id := running(b, outputs, "exit 0")
				notices, ended := b.told(id)
				if !strings.Contains(notices, c.want) || (c.err == nil) != (len(ended.Outputs) == 1) {
					t.Errorf("ended %v; told %q", ended, notices)
				}
				b.unread.Store(false)
				<-s.Done()
			})
		})
	}
}

func TestAnOwnerOrARequesterThatWantsTheEndWaitsForNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.folders = full(time.Now().Add(24 * time.Hour))
		b.start()
		defer b.stop()
		s, id := running(b, outputs, "sleep 1s")
		time.Sleep(time.Minute)
		if s.Lease().State().Ended() {
			t.Fatal("it ended without its output")
		}
		if err := b.Yield(job.LeaseID(id).String(), 0, "the owner is back"); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if got := s.Lease(); got.State() != lease.Closed || got.Exit().GetCode() != 0 || len(got.Receipt().GetClose()) == 0 {
			t.Errorf("%s with %v", got.State(), got.Exit())
		}
	})
}

func TestOutputsOfALeaseThatLapsedWaitForNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := full(time.Now().Add(1000 * time.Hour))
		b.folders = f
		b.start()
		defer b.stop()
		a := b.prepare(requesterKey, "sleep 1s")
		outputs(a)
		l, id := b.lease(a.request())
		ctx, cancel := context.WithCancel(t.Context())
		s := sessiontest.Requester(l, &sessiontest.Journal{})
		go func() { _ = s.Run(ctx) }()
		b.connect(s, id)
		time.Sleep(time.Minute)
		cancel() // the requester is gone
		<-s.Done()
		time.Sleep(2 * time.Hour)
		before := f.times.Load()
		time.Sleep(time.Hour)
		if after := f.times.Load(); before < 2 || after != before {
			t.Errorf("tried %d times, and %d more after the lease had lapsed", before, after-before)
		}
		if _, ended := b.told(id); len(ended.GetOutputs()) != 0 {
			t.Errorf("ended %v", ended)
		}
	})
}
