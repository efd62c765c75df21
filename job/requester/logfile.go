package requester

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/runtime"
)

// logFile is one output of a job's task, as far as it has come here: of all its tasks,
// one after the other, where it was run again.
type logFile struct {
	path string

	mu      sync.Mutex
	times   logTimes
	before  int64 // bytes of earlier tasks
	over    bool
	changed chan struct{}
}

func openLog(path string, now func() time.Time) *logFile {
	return &logFile{path: path, times: logTimes{path: path + ".times", now: now}, changed: make(chan struct{})}
}

// size is how much of the output is here, in bytes.
func (l *logFile) size() int64 {
	fi, err := os.Stat(l.path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// maxOutput is how much of one output is kept here, in bytes: more than an honest
// worker sends. The rest is let go.
const maxOutput = 512 << 20

// received is how much of the present task's output is here, in bytes.
func (l *logFile) received() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(max(0, l.size()-l.before))
}

// begin says that so many bytes are of earlier tasks, or as many as are here.
func (l *logFile) begin(before int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = min(before, l.size())
}

// write puts data at its offset in the present task's output: what is here already is skipped, a gap is an error.
func (l *logFile) write(offset int64, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.size()
	if have >= maxOutput {
		return nil
	}
	if offset < 0 || offset > have-l.before {
		return fmt.Errorf("output jumps from byte %d to %d", have-l.before, offset)
	}
	skip := have - l.before - offset
	if skip >= int64(len(data)) {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	l.times.stamp(have)
	rest := data[skip:]
	_, err = f.Write(rest[:min(int64(len(rest)), maxOutput-have)])
	l.wake()
	return err
}

// sync makes what is here durable.
func (l *logFile) sync() error {
	err := journal.SyncFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the task wrote nothing
	}
	return err
}

// wake tells readers to look again. The caller holds mu.
func (l *logFile) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// end says that nothing more will come.
func (l *logFile) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.wake()
}

func (l *logFile) state() (over bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over, l.changed
}

// logReader reads a logFile; with follow it waits for more until the job has ended.
type logReader struct {
	ctx    context.Context // of the reader's life, as an io.Reader has no other way in
	log    *logFile
	file   *os.File
	offset int64
	follow bool
	marks  marks
}

func (r *logReader) Read(p []byte) (int, error) {
	for {
		over, changed := r.log.state() // before the read: what comes after it wakes us
		n, err := r.read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if over || !r.follow {
			return 0, io.EOF
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

func (r *logReader) read(p []byte) (int, error) {
	if r.file == nil {
		f, err := os.Open(r.log.path)
		if errors.Is(err, os.ErrNotExist) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		r.file = f
	}
	n, err := r.file.ReadAt(p, r.offset)
	r.offset += int64(n)
	return n, err
}

func (r *logReader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Output reads one output of a job's task from an offset on. With follow it
// blocks at the end of what there is until more comes or the job has ended.
func (r *Requester) Output(ctx context.Context, id string, stream runtime.Stream, offset int64, follow bool) (io.ReadCloser, error) {
	j, err := r.find(id)
	if err != nil {
		return nil, err
	}
	log := j.stdout
	if stream == runtime.Stderr {
		log = j.stderr
	}
	return &logReader{ctx: ctx, log: log, offset: offset, follow: follow}, nil
}
