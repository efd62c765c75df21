package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is the little that a journal asks of its folder. The real one is a
// directory; a test's may lose what was not synced, or run out of room.
type FS interface {
	// Open opens a file for reading and writing, and creates it when it is missing.
	Open(name string) (File, error)
	// Names lists the files there are.
	Names() ([]string, error)
	// Sync makes the creation of files durable.
	Sync() error
	// Path is how a person finds a file.
	Path(name string) string
}

// File is one open file of a journal.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the file's content and size durable.
	Sync() error
}

// dir is the FS over a real directory.
type dir string

// Dir is the FS over a real directory, which is made when it is missing.
func Dir(path string) (FS, error) { return newDir(path) }

func newDir(path string) (dir, error) {
	_, err := os.Stat(path)
	if err == nil {
		return dir(path), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", err
	}
	return dir(path), dir(filepath.Dir(filepath.Clean(path))).Sync()
}

func (d dir) Path(name string) string { return filepath.Join(string(d), name) }

func (d dir) Open(name string) (File, error) {
	f, err := os.OpenFile(d.Path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (d dir) Names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (d dir) Sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

type file struct{ *os.File }

func (f file) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// IsFull says whether a write failed for want of room, for bytes or for files, and nothing
// else is wrong.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
