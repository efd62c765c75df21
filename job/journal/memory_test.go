package journal

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// memory is a folder that can lose its power, run out of room and fail to
// sync. What was written and not synced survives a power loss in part, by sectors.
type memory struct {
	mu      sync.Mutex
	files   map[string]*memoryFile
	fail    func(op, name string) error // asked before each operation; may be nil
	written int                         // bytes, ever
	syncs   map[string]int
}

type memoryFile struct {
	in      *memory
	name    string
	data    []byte
	durable []byte
}

const sector = 512

func newMemory() *memory {
	return &memory{files: map[string]*memoryFile{}, syncs: map[string]int{}}
}

func (m *memory) ask(op, name string) error {
	if m.fail == nil {
		return nil
	}
	return m.fail(op, name)
}

func (m *memory) Path(name string) string { return "memory/" + name }

func (m *memory) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		m.files[name] = &memoryFile{in: m, name: name}
	}
	return m.files[name], nil
}

func (m *memory) Names() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.files)), nil
}

func (m *memory) Sync() error { return m.ask("sync folder", "") }

// powerLoss is the folder as it is found after the power went: each sector that
// was not synced is new or old, and so is the length of each file.
func (m *memory) powerLoss(random *rand.Rand) *memory {
	after := newMemory()
	for name, f := range m.files {
		size := len(f.durable)
		if random.IntN(2) == 0 {
			size = len(f.data)
		} else if grown := len(f.data) - size; grown > 0 {
			size += random.IntN(grown + 1)
		}
		data := make([]byte, size)
		copy(data, f.durable)
		for at := 0; at < size; at += sector {
			if random.IntN(2) == 0 && at < len(f.data) {
				copy(data[at:min(at+sector, size)], f.data[at:])
			}
		}
		after.files[name] = &memoryFile{in: after, name: name, data: data, durable: bytes.Clone(data)}
	}
	return after
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes half of what it should when it is told to fail.
func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	err := f.in.ask("write", f.name)
	if err != nil {
		p = p[:len(p)/2]
	}
	if grow := int(off) + len(p) - len(f.data); grow > 0 {
		f.data = append(f.data, make([]byte, grow)...)
	}
	f.in.written += len(p)
	return copy(f.data[off:], p), err
}

func (f *memoryFile) Size() (int64, error) { return int64(len(f.data)), nil }

func (f *memoryFile) Truncate(size int64) error {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	if err := f.in.ask("truncate", f.name); err != nil {
		return err
	}
	f.data = append(bytes.Clone(f.data), make([]byte, max(0, int(size)-len(f.data)))...)[:size]
	return nil
}

func (f *memoryFile) Sync() error {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	if err := f.in.ask("sync", f.name); err != nil {
		return err
	}
	f.in.syncs[f.name]++
	f.durable = bytes.Clone(f.data)
	return nil
}

func (f *memoryFile) Close() error { return nil }

// note is a small record that carries a number.
func note(i int) Record {
	return Record{Key: "lease", Kind: "beat", At: time.Unix(int64(i), 0).UTC(), Event: bytes.Repeat([]byte{byte(i)}, i%90)}
}

func mustOpen(t testing.TB, files FS) *Journal {
	t.Helper()
	j, err := OpenFS(files)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// filled is a folder with a journal of n notes, closed.
func filled(t testing.TB, n int) *memory {
	t.Helper()
	m := newMemory()
	j := mustOpen(t, m)
	for i := range n {
		if err := j.Append(note(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// clone is a copy of a folder, to be damaged.
func (m *memory) clone() *memory {
	c := newMemory()
	for name, f := range m.files {
		c.files[name] = &memoryFile{in: c, name: name, data: bytes.Clone(f.data), durable: bytes.Clone(f.data)}
	}
	return c
}

func replayed(t testing.TB, j *Journal) []Record {
	t.Helper()
	var out []Record
	if err := j.Replay(func(r Record) error { out = append(out, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}
