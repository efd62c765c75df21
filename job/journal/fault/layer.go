package fault

import (
	"strings"
	"sync"

	"github.com/rigmesh/rigmesh/job/journal"
)

// Watch is a file layer that calls at for every step of every record. An error of at is
// the error of the operation, and of every operation after it: what at ended stays ended.
func Watch(under journal.FS, at func(Step) error) journal.FS {
	return &watch{FS: under, at: at, seen: map[string]int{}}
}

type watch struct {
	journal.FS
	at func(Step) error

	mu    sync.Mutex
	seen  map[string]int // records so far, by name
	steps []Step         // of the batch on its way
	dead  error
}

// Open watches the log and the head, each in its own way.
func (w *watch) Open(name string) (journal.File, error) {
	f, err := w.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &watched{File: f, in: w, log: strings.HasSuffix(name, ".log")}, nil
}

// begin notes the records of a write.
func (w *watch) begin(frames []byte) {
	records, err := journal.Records(frames)
	if err != nil {
		return // the head of a new log
	}
	w.steps = w.steps[:0]
	for _, r := range records {
		name := Name(r)
		w.seen[name]++
		w.steps = append(w.steps, Step{Record: name, Nth: w.seen[name]})
	}
}

// reach says how far the batch on its way has come.
func (w *watch) reach(s Stage) error {
	for _, step := range w.steps {
		step.Stage = s
		if err := w.at(step); err != nil {
			w.dead = err
			return err
		}
	}
	if s == Committed {
		w.steps = w.steps[:0]
	}
	return nil
}

// do does one operation, unless an earlier one was the last.
func (w *watch) do(op func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead != nil {
		return w.dead
	}
	return op()
}

// watched is one file of a watched folder.
type watched struct {
	journal.File
	in  *watch
	log bool
}

// WriteAt is the beginning of a batch, on the log.
func (f *watched) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.in.do(func() error {
		if f.log {
			f.in.begin(b)
			if err := f.in.reach(Before); err != nil {
				return err
			}
		}
		if n, err = f.File.WriteAt(b, off); err != nil || !f.log {
			return err
		}
		return f.in.reach(Written)
	})
	return n, err
}

// Truncate passes through.
func (f *watched) Truncate(size int64) error {
	return f.in.do(func() error { return f.File.Truncate(size) })
}

// Sync makes a batch durable on the log, and known on the head.
func (f *watched) Sync() error {
	return f.in.do(func() error {
		if err := f.File.Sync(); err != nil {
			return err
		}
		if f.log {
			return f.in.reach(Synced)
		}
		return f.in.reach(Committed)
	})
}
