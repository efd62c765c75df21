package requester

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// receive fetches what the task left and makes that it is all here durable: the
// close is co-signed next, and then nobody else has it.
func (t *tenure) receive(ctx context.Context, ended *leasev1.Ended) error {
	fetched, unstored, err := t.fetch(ctx, ended)
	if errors.Is(err, ErrNoRoom) && t.full.CompareAndSwap(false, true) {
		t.j.trouble("disk-full", "the outputs wait until there is room: %v", err)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(t.j.stdout.sync(), t.j.stderr.sync()); err != nil {
		return fmt.Errorf("keep the output: %w", err)
	}
	event, err := proto.Marshal(&leasev1.Ended{Exit: ended.Exit, Outputs: fetched})
	if err != nil {
		return err
	}
	if err := t.j.recordUnder(ctx, t.key, KindReceived, event, nil); err != nil {
		return err
	}
	t.ended, t.fetched, t.unstored = ended, fetched, unstored
	close(t.received)
	return nil
}

// fetch brings the outputs here. What can never be had (the worker's store lost
// it, a digest is wrong, nobody asked for it) is reported and does not hold up the rest.
func (t *tenure) fetch(ctx context.Context, ended *leasev1.Ended) (fetched []*leasev1.Output, unstored []string, err error) {
	src, release := t.j.r.Streams.Blobs(t.worker, t.id[:])
	defer release()
	missing := slices.Clone(t.j.sub.Spec.Outputs)
	for _, out := range ended.Outputs {
		i := slices.Index(missing, out.Path)
		if i < 0 {
			unstored = append(unstored, "the worker sent a folder that is no output of the job")
			continue
		}
		missing = slices.Delete(missing, i, i+1)
		err := t.fetchOutput(ctx, src, out)
		switch {
		case errors.Is(err, ErrContent):
			unstored = append(unstored, fmt.Sprintf("%s: %v", out.Path, err))
		case err != nil:
			return nil, nil, fmt.Errorf("output %s: %w", out.Path, err)
		default:
			fetched = append(fetched, out)
		}
	}
	if ended.GetExit().GetError() == "" { // a task that never ran left none
		for _, path := range missing {
			unstored = append(unstored, path+": the worker could not collect it")
		}
		if said := t.notice.Load(); len(missing) > 0 && said != nil && *said != "" {
			unstored = append(unstored, "it says: "+*said)
		}
	}
	return fetched, unstored, nil
}

func (t *tenure) fetchOutput(ctx context.Context, src runtime.BlobSource, out *leasev1.Output) error {
	content := t.j.r.Content
	if !job.ValidDigest(out.Manifest) {
		return fmt.Errorf("%w: its manifest has no digest", ErrContent)
	}
	m, err := content.Manifest(ctx, src, out.Manifest)
	if err != nil {
		return err
	}
	t.j.hold(out.Manifest, m) // the first must not be gone when the last one is here
	for _, e := range m.Entries {
		if e.Digest == "" {
			continue
		}
		if !job.ValidDigest(e.Digest) || e.SizeBytes > job.MaxBlobTotal {
			return fmt.Errorf("%w: the manifest is not one", ErrContent)
		}
		// An empty file has no limit to exceed: no limit is what 0 means.
		if err := content.Fetch(ctx, src, e.Digest, int64(max(1, e.SizeBytes))); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}
