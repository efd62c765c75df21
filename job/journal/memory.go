package journal

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// Memory is a folder in memory that can lose its power, run out of room and fail to
// sync. What was written and not synced survives a power loss in part, by sectors.
type Memory struct {
	// Fail is asked before each operation: "write", "truncate", "sync" of a file,
	// "sync folder". Its error is the operation's; a write that fails has done half. It may be nil.
	Fail func(op, name string) error

	mu      sync.Mutex
	files   map[string]*memoryFile
	written int // bytes, ever
	syncs   map[string]int
}

type memoryFile struct {
	in      *Memory
	name    string
	data    []byte
	durable []byte
}

const sector = 512

// NewMemory gives an empty folder.
func NewMemory() *Memory {
	return &Memory{files: map[string]*memoryFile{}, syncs: map[string]int{}}
}

func (m *Memory) ask(op, name string) error {
	if m.Fail == nil {
		return nil
	}
	return m.Fail(op, name)
}

// Path is no path of this machine.
func (m *Memory) Path(name string) string { return "memory/" + name }

// Open opens a file, and creates it when it is missing.
func (m *Memory) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		m.files[name] = &memoryFile{in: m, name: name}
	}
	return m.files[name], nil
}

// Names lists the files there are.
func (m *Memory) Names() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.files)), nil
}

// Sync is asked of Fail and does nothing else: files are there once they are made.
func (m *Memory) Sync() error { return m.ask("sync folder", "") }

// PowerLoss is the folder as it is found after the power went: each sector that
// was not synced is new or old, and so is the length of each file.
func (m *Memory) PowerLoss(random *rand.Rand) *Memory {
	after := NewMemory()
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
	return bytes.NewReader(f.data).ReadAt(p, off)
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
