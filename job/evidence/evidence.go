// Package evidence is what a worker's machine shows of the work: samples taken
// once a second, their summary in a beat, the tree that commits to them, and
// what the requester makes of both.
//
// It is evidence and not proof: samples are reported by the machine that they
// are about. A lie has to fit the task's own output, the terms, the samples
// before, and the power limit of the card, once and for all: the beat fixes it.
package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// MaxSample is the largest sample in bytes: one of job.MaxGPUs devices.
const MaxSample = 16 << 10

// What is wrong with samples that were opened.
var (
	ErrSample = errors.New("not a sample")
	ErrRoot   = errors.New("not the samples that the beat committed to")
	ErrSum    = errors.New("the summary is not that of the samples")
)

// Marshal gives the bytes of a sample: what is kept, and what the tree is over.
func Marshal(s *leasev1.Sample) ([]byte, error) {
	b, err := statement.Marshal(s)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxSample {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrSample, len(b), MaxSample)
	}
	return b, nil
}

// Open reads a sample. One with fields that this program does not know is refused.
func Open(b []byte) (*leasev1.Sample, error) {
	if len(b) > MaxSample {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrSample, len(b), MaxSample)
	}
	s := &leasev1.Sample{}
	if err := proto.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSample, err)
	}
	noTag := func(d *leasev1.DeviceSample) bool { return len(d.GetTag()) != job.HashSize }
	if job.CheckKnown(s) != nil || slices.ContainsFunc(s.GetDevices(), noTag) || len(s.GetDevices()) > job.MaxGPUs {
		return nil, fmt.Errorf("%w: an unknown field, a tag that is none, or too many devices", ErrSample)
	}
	return s, nil
}

// Check compares samples that were opened with the evidence that committed to
// them: their number, their root, and every figure of the summary.
func Check(e *leasev1.Evidence, samples [][]byte) error {
	if uint64(len(samples)) != e.GetSamples() || !bytes.Equal(heartbeat.RootOf(samples), e.GetSamplesRoot()) {
		return fmt.Errorf("%d samples from number %d on: %w", len(samples), e.GetFirstSample(), ErrRoot)
	}
	if len(samples) == 0 {
		return nil
	}
	again, err := Summarize(e.GetFirstSample(), samples)
	if err != nil {
		return err
	}
	again.TaskId, again.ImageDigest = e.GetTaskId(), e.GetImageDigest() // of the whole lease, not of a sample
	if !proto.Equal(again, e) {
		return ErrSum
	}
	return nil
}

// Expected is the devices_hash of a lease all of whose devices are read.
func Expected(tags [][]byte) []byte {
	h := devicesHash(tags)
	return h[:]
}
