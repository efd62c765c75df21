// Package journal is the durable memory of a node: an append-only, hash-chained
// log of every lease event and every signed statement.
//
// A record is on disk when Append returns, so a statement is journaled first
// and sent second, and a restarted node replays the very bytes it may have sent.
// Concurrent appends share their syncs.
//
// A journal is a folder with two files. 00000001.log holds the records, each with
// its length, a CRC-32C and the hash of the record before it. The file head holds,
// in two slots written in turn, how much of the log was committed and the hash
// there. Together they tell a torn tail, which is cut, from damage and from a
// log that went back in time, which are refused.
//
// One process owns the folder; whoever opens a journal holds that lock.
package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// MaxRecord is the size of the largest record, encoded, in bytes.
const MaxRecord = 1 << 20

// Errors a caller decides on.
var (
	// ErrCorrupt: committed bytes of the journal are damaged. The text names the
	// file and the place, and says what to do.
	ErrCorrupt = errors.New("journal is corrupt")
	// ErrRolledBack: the log is shorter than, or different from, what was
	// committed. Signing on from here could contradict what was signed before.
	ErrRolledBack = errors.New("journal was rolled back")
	// ErrFull: there was no room for a record. Nothing was recorded, and a later
	// append may succeed.
	ErrFull = errors.New("no room for the journal")
	// ErrTooLarge: a record is larger than MaxRecord. Nothing was recorded.
	ErrTooLarge = errors.New("record is too large")
	// ErrFailed: an earlier write or sync went wrong, and what is on disk is not
	// known. The journal takes nothing more until it is opened again.
	ErrFailed = errors.New("journal failed")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal is closed")
)

// Record is one thing that happened, and what was about to be said because of it.
type Record struct {
	Key        string    // what it belongs to: a lease id, a job id
	Kind       string    // of the event
	At         time.Time // kept to the nanosecond, in UTC
	Event      []byte
	Statements [][]byte // to send, byte for byte
}

// hash is the SHA-256 of a frame, which the next frame carries.
type hash = [sha256.Size]byte

// position is a place between two records: how many bytes of log lie before it,
// how many records, and the hash of the last.
type position struct {
	offset  int64
	records uint64
	hash    hash
}

// Journal is an open journal. All methods are safe for concurrent use.
type Journal struct {
	files FS
	log   File
	head  *head
	cut   int64

	mu      sync.Mutex // guards pending
	pending *batch

	commit sync.Mutex    // held while a batch is written; guards the rest
	end    position      // of what is committed
	failed error         // sticky
	broken chan struct{} // closed when failed is more than ErrClosed
}

// batch is the records that one sync will make durable together.
type batch struct {
	bodies [][]byte
	done   bool
	err    error
}

// Open opens the journal in a folder, or begins one there. It checks every
// record, cuts a torn tail, and refuses anything else with ErrCorrupt or ErrRolledBack.
func Open(dir string) (*Journal, error) {
	files, err := Dir(dir)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return OpenFS(files)
}

// OpenFS is Open on any file layer.
func OpenFS(files FS) (*Journal, error) {
	j := &Journal{files: files, broken: make(chan struct{})}
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("open journal: %w", errors.Join(err, j.closeFiles()))
	}
	return j, nil
}

// Append makes one record durable. On an error other than ErrTooLarge, ErrFull
// and ErrClosed the record may nevertheless be there after the next Open, so what it would have
// said must not be replaced by anything else for the same slot.
func (j *Journal) Append(r Record) error {
	body, err := encode(r)
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	b := j.join(body)
	j.commit.Lock()
	defer j.commit.Unlock()
	if !b.done { // nobody has written this batch while we waited: we do
		j.write(j.seal(b))
	}
	if b.err != nil {
		return fmt.Errorf("append to journal: %w", b.err)
	}
	return nil
}

// join adds a record to the batch that is written next.
func (j *Journal) join(body []byte) *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending == nil {
		j.pending = &batch{}
	}
	j.pending.bodies = append(j.pending.bodies, body)
	return j.pending
}

// seal lets nobody else join a batch. Batches are sealed in the order they were
// begun: a batch that is not done is the pending one.
func (j *Journal) seal(b *batch) *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = nil
	return b
}

func (j *Journal) write(b *batch) {
	b.done = true
	if j.failed != nil {
		b.err = j.failed
		return
	}
	next, frames := j.end, []byte(nil)
	for _, body := range b.bodies {
		var frame []byte
		frame, next = next.frame(body)
		frames = append(frames, frame...)
	}
	if b.err = j.writeLog(frames); b.err != nil {
		return
	}
	if err := j.head.write(next); err != nil {
		b.err = j.fail(fmt.Errorf("write %s: %w", headName, err))
		return
	}
	j.end = next
}

// writeLog puts frames after the committed ones. A write that found no room is
// undone; after any other trouble the journal has failed: what a failed sync
// left behind cannot be known, and trying again would pretend otherwise.
func (j *Journal) writeLog(frames []byte) error {
	if _, err := j.log.WriteAt(frames, j.end.offset); err != nil {
		if undo := j.log.Truncate(j.end.offset); undo != nil || !IsFull(err) {
			return j.fail(fmt.Errorf("write %s: %w", logName, errors.Join(err, undo)))
		}
		return fmt.Errorf("write %s: %w: %w", logName, ErrFull, err)
	}
	if err := j.log.Sync(); err != nil {
		return j.fail(fmt.Errorf("sync %s: %w", logName, err))
	}
	return nil
}

func (j *Journal) fail(cause error) error {
	j.failed = fmt.Errorf("%w: %w", ErrFailed, cause)
	close(j.broken)
	return j.failed
}

// Replay gives every committed record to fn, oldest first, and stops at fn's
// first error, which it returns as it is. Records appended meanwhile are not
// given. The record is fn's to keep.
func (j *Journal) Replay(fn func(Record) error) error {
	j.commit.Lock()
	end, failed := j.end, j.failed
	j.commit.Unlock()
	if errors.Is(failed, ErrClosed) {
		return failed
	}
	s := newScanner(j.log, end.offset)
	for {
		body, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("replay journal: %w", j.corrupt(s.pos, err))
		}
		r, err := decode(body)
		if err != nil {
			return fmt.Errorf("replay journal: %w", j.corrupt(s.pos, err))
		}
		if err := fn(r); err != nil {
			return err
		}
	}
}

// Records is the number of committed records.
func (j *Journal) Records() uint64 {
	j.commit.Lock()
	defer j.commit.Unlock()
	return j.end.records
}

// Cut is how many bytes of torn tail Open removed: a crash in the middle of an append left
// them, and nobody was told that they were durable.
func (j *Journal) Cut() int64 { return j.cut }

// Err is nil while the journal takes records, and says why it does not after that.
func (j *Journal) Err() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	return j.failed
}

// Broken is closed when the journal takes no more records before it was closed: Err says why.
func (j *Journal) Broken() <-chan struct{} { return j.broken }

// Close waits for the batch being written and closes the files. Appends that come later get
// ErrClosed. Closing twice is no error.
func (j *Journal) Close() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	if errors.Is(j.failed, ErrClosed) {
		return nil
	}
	j.failed = ErrClosed
	if err := j.closeFiles(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

func (j *Journal) closeFiles() error {
	var errs []error
	if j.log != nil {
		errs = append(errs, j.log.Close())
	}
	if j.head != nil {
		errs = append(errs, j.head.file.Close())
	}
	return errors.Join(errs...)
}
