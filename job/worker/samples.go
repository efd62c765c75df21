package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
)

// SamplesKept is how long the samples of a lease are kept after the last one.
const SamplesKept = 7 * 24 * time.Hour

// A file of samples is this, the requester's key, and the samples, each behind
// its length as an unsigned varint. One of length 0 stands for one that was lost.
const samplesMagic = "rigmesh samples 1\n"

const samplesHeader = len(samplesMagic) + job.KeySize

// markEvery is how many samples lie between two places that are remembered.
const markEvery = 256

// samples is the samples of one lease, on disk. They are not synced: what a power
// cut takes is missing from an audit, and nothing else depends on it.
type samples struct {
	path string

	mu    sync.Mutex
	file  *os.File
	marks []int64 // where every markEvery-th one begins
	count uint64
	end   int64
	last  []byte // of those that were not lost
}

// openSamples opens a lease's file, or begins it. A torn end is cut off.
func openSamples(path string, requester []byte) (*samples, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &samples{path: path, file: f, end: int64(samplesHeader)}
	if err := s.load(append([]byte(samplesMagic), requester...)); err != nil {
		return nil, errors.Join(fmt.Errorf("samples in %s: %w", path, err), f.Close())
	}
	return s, nil
}

func (s *samples) load(header []byte) error {
	got := make([]byte, samplesHeader)
	n, err := s.file.ReadAt(got, 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case bytes.HasPrefix(header, got[:n]) && n < len(got): // new, or torn as it began
		_, err := s.file.WriteAt(header, 0)
		return err
	case !bytes.Equal(got, header):
		return errors.New("not the samples of this requester's lease")
	}
	in := newSampleReader(s.file, s.end)
	for {
		b, err := in.next()
		if err != nil {
			return s.file.Truncate(s.end)
		}
		s.note(b)
	}
}

// note counts a sample that stands in the file.
func (s *samples) note(b []byte) {
	if s.count%markEvery == 0 {
		s.marks = append(s.marks, s.end)
	}
	s.count++
	s.end += int64(len(binary.AppendUvarint(nil, uint64(len(b)))) + len(b))
	if len(b) > 0 {
		s.last = b
	}
}

// add appends a sample.
func (s *samples) add(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.file.WriteAt(append(binary.AppendUvarint(nil, uint64(len(b))), b...), s.end); err != nil {
		return fmt.Errorf("keep a sample in %s: %w", s.path, err)
	}
	s.note(b)
	return nil
}

// fill brings the count up to what a beat has committed to: samples that are not
// here any more leave a gap, and later ones keep their numbers.
func (s *samples) fill(count uint64) error {
	for s.size() < count {
		if err := s.add(nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *samples) size() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// newest is the last sample that was kept, and nil without one.
func (s *samples) newest() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// read gives samples by number, at most count of them and, after the first, at
// most limit bytes in all.
func (s *samples) read(first, count uint64, limit int) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first >= s.count {
		return nil, nil
	}
	in := newSampleReader(s.file, s.marks[first/markEvery])
	var out [][]byte
	for n := first - first%markEvery; n < s.count && uint64(len(out)) < count; n++ {
		b, err := in.next()
		if err != nil {
			return nil, fmt.Errorf("sample %d in %s: %w", n, s.path, err)
		}
		if n < first {
			continue
		}
		if limit -= len(b) + 8; limit < 0 && len(out) > 0 {
			break
		}
		out = append(out, b)
	}
	return out, nil
}

func (s *samples) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}

type sampleReader struct{ in *bufio.Reader }

func newSampleReader(f io.ReaderAt, at int64) sampleReader {
	return sampleReader{bufio.NewReader(io.NewSectionReader(f, at, 1<<62-at))}
}

func (r sampleReader) next() ([]byte, error) {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return nil, err
	}
	if n > evidence.MaxSample {
		return nil, evidence.ErrSample
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r.in, b)
	return b, err
}

// sweepSamples removes the samples of leases that ended long ago.
func sweepSamples(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > SamplesKept {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
