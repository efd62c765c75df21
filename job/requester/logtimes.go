package requester

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"sort"
	"time"
)

// Beside an output lies when it came here: a file of marks, each an offset and the time from
// which on what begins there came. What a task wrote while this node was away came later.

// markSize is that of a mark in the file: the offset and a Unix time in ms, big-endian.
const markSize = 16

// The time between two marks: the second when the first would make them a large part of
// what is kept.
const (
	markEvery  = 10 * time.Millisecond
	markSeldom = time.Second
	manyMarks  = 1 << 20 // bytes
)

// mark says that what comes from an offset on came at a time.
type mark struct {
	offset int64
	at     time.Time
}

// logTimes writes the marks of an output.
type logTimes struct {
	path string
	now  func() time.Time // nil: no times are kept
	last time.Time
}

// stamp marks what is about to be written at an offset. Without room for it the output is
// worth more than its times.
func (t *logTimes) stamp(offset int64) {
	if t.now == nil {
		return
	}
	at, every, size := t.now(), markEvery, int64(0)
	if fi, err := os.Stat(t.path); err == nil {
		size = fi.Size()
	}
	if size > manyMarks && size > offset/4 {
		every = markSeldom
	}
	if at.Sub(t.last) < every {
		return
	}
	if torn := size % markSize; torn != 0 && os.Truncate(t.path, size-torn) != nil { // by a power cut
		return
	}
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(offset)), uint64(at.UnixMilli()))
	if _, err := f.Write(b); err == nil {
		t.last = at
	}
	_ = f.Close()
}

// marks are those of an output that were read so far.
type marks struct {
	list []mark
	read int64 // bytes of the file
}

// more reads the marks that are new. One that a later one goes behind was written for output
// that never came, before this machine went down.
func (m *marks) more(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, m.read, 1<<40))
	for ; len(b) >= markSize; b = b[markSize:] {
		next := mark{int64(binary.BigEndian.Uint64(b)), time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:])))}
		for len(m.list) > 0 && m.list[len(m.list)-1].offset >= next.offset {
			m.list = m.list[:len(m.list)-1]
		}
		m.list = append(m.list, next)
		m.read += markSize
	}
	return err
}

// at says when the byte at an offset came, and up to where others came with it; the zero
// time when that is not known.
func (m *marks) at(offset int64) (came time.Time, until int64) {
	next := sort.Search(len(m.list), func(i int) bool { return m.list[i].offset > offset })
	until = 1<<63 - 1
	if next < len(m.list) {
		until = m.list[next].offset
	}
	if next > 0 {
		came = m.list[next-1].at
	}
	return came, until
}

// since is where what came at a time or later begins; end when nothing did.
func (m *marks) since(at time.Time, end int64) int64 {
	next := sort.Search(len(m.list), func(i int) bool { return !m.list[i].at.Before(at) })
	if next < len(m.list) {
		return m.list[next].offset
	}
	return end
}

// Skip goes on to what came at a time or later, and says where that begins.
func (r *logReader) Skip(to time.Time) (offset int64, err error) {
	if err := r.marks.more(r.log.times.path); err != nil {
		return 0, err
	}
	if len(r.marks.list) > 0 { // else nobody knows
		r.offset = max(r.offset, r.marks.since(to, r.log.size()))
	}
	return r.offset, nil
}

// ReadTimed is Read of bytes that came at one time, which it tells.
func (r *logReader) ReadTimed(p []byte) (int, time.Time, error) {
	n, err := r.Read(p)
	if n == 0 {
		return n, time.Time{}, err
	}
	begin := r.offset - int64(n)
	if more := r.marks.more(r.log.times.path); more != nil { // it is written before what it marks
		return n, time.Time{}, errors.Join(err, more)
	}
	came, until := r.marks.at(begin)
	if until < r.offset {
		n = int(until - begin)
		r.offset = until // the rest came later
	}
	return n, came, err
}
