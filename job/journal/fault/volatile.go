package fault

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/rigmesh/rigmesh/job/journal"
)

// sector is what a disk writes whole or not at all, in bytes.
const sector = 512

// Volatile is a file layer over real files whose writes reach them when they are synced
// and not before: to end the process is to cut the power.
type Volatile struct {
	journal.FS
	mu    sync.Mutex
	files map[string]*volatileFile
}

// NewVolatile gives a Volatile over a folder.
func NewVolatile(under journal.FS) *Volatile {
	return &Volatile{FS: under, files: map[string]*volatileFile{}}
}

// Open opens a file with what was written to it and not synced.
func (v *Volatile) Open(name string) (journal.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.files[name]; f != nil {
		return f, nil
	}
	f, err := v.FS.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	v.files[name] = &volatileFile{under: f, mu: &v.mu, data: data, unsynced: map[int64]bool{}}
	return v.files[name], nil
}

// Spill lets some of what was not synced reach the files, as a disk may before the power
// goes: each sector or not.
func (v *Volatile) Spill(random *rand.Rand) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		f := v.files[name]
		for _, at := range slices.Sorted(maps.Keys(f.unsynced)) {
			if random.IntN(2) == 0 {
				continue
			}
			if err := f.bring(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// volatileFile is a file as its process sees it.
type volatileFile struct {
	under    journal.File
	mu       *sync.Mutex
	data     []byte
	unsynced map[int64]bool // sectors, by their first byte
}

func (f *volatileFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *volatileFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(off + int64(len(p)))
	for at := off / sector * sector; at < off+int64(len(p)); at += sector {
		f.unsynced[at] = true
	}
	return copy(f.data[off:], p), nil
}

func (f *volatileFile) grow(size int64) {
	if more := size - int64(len(f.data)); more > 0 {
		f.data = append(f.data, make([]byte, more)...)
	}
}

func (f *volatileFile) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *volatileFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(size)
	f.data = f.data[:size]
	return nil
}

// bring writes one sector to the file, unless that was cut off meanwhile.
func (f *volatileFile) bring(at int64) error {
	size := int64(len(f.data))
	if at >= size {
		return nil
	}
	_, err := f.under.WriteAt(f.data[at:min(at+sector, size)], at)
	return err
}

// Sync brings everything to the file, and the file to the disk.
func (f *volatileFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := range f.unsynced {
		if err := f.bring(at); err != nil {
			return err
		}
	}
	if err := f.under.Truncate(int64(len(f.data))); err != nil {
		return err
	}
	clear(f.unsynced)
	return f.under.Sync()
}

func (f *volatileFile) Close() error { return f.under.Close() }
