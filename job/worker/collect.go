package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// packEvery is how often outputs that found no room are tried again: all of them are read anew.
const packEvery = 10 * time.Second

// collect takes the outputs into the store and reports the exit with their
// digest. They are written down first, so that a restart reports the same.
func (t *task) collect(ctx context.Context, exit runtime.Exit) {
	s := t.s
	var outs []*leasev1.Output
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	for _, path := range s.spec.Outputs {
		packed, err := t.pack(ctx, path)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.log.Warn("output not collected", "path", path, "err", err)
			note("%s cannot be collected: %v", path, err)
			continue
		}
		if packed.Left > 0 {
			s.log.Info("left out of an output", "path", path, "count", packed.Left, "as", packed.Skipped)
			note("%d left out of %s, as %q", packed.Left, path, packed.Skipped[0])
		}
		outs = append(outs, &leasev1.Output{Path: path, Manifest: packed.Manifest, TotalBytes: packed.Bytes})
		if err := s.outputs.load(s.w.Folders, outs); err != nil { // what waits for the next one is not swept away
			s.log.Warn("outputs", "err", err)
		}
	}
	s.board.notice(strings.Join(notes, "; "))
	ended := &leasev1.Ended{Exit: exitOf(exit), Outputs: outs}
	if err := s.keepEnded(ended); err != nil {
		s.log.Warn("outputs not written down", "err", err)
	}
	s.board.end(ended)
	s.session.Post(ctx, lease.TaskExited{
		Exit: ended.Exit, OutputsDigest: job.OutputsDigest(outs), Evidence: s.evidence(s.session.Lease().SamplesFrom(nil)),
	})
}

// pack takes one output folder into the store. Without room for it there it waits, until ctx or
// the lease ends or somebody wants the task ended.
func (t *task) pack(ctx context.Context, path string) (Packed, error) {
	dir, err := t.s.w.Runtime.Folder(ctx, t.id, path)
	if err != nil {
		return Packed{}, err
	}
	tick := time.NewTicker(packEvery)
	defer tick.Stop()
	for {
		packed, err := t.s.w.Folders.Pack(ctx, dir)
		if !errors.Is(err, runtime.ErrNoSpace) && !journal.IsFull(err) {
			return packed, err
		}
		t.s.log.Warn("output waits for room on the disk", "path", path, "err", err)
		t.s.board.notice(path + " waits until there is room on the worker's disk")
		select {
		case <-tick.C:
		case <-t.enough:
			return packed, err
		case <-t.s.session.Over():
			return packed, err
		case <-ctx.Done():
			return packed, ctx.Err()
		}
	}
}
