package journal

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile replaces a file beside a journal, whole or not at all, whatever
// happens to the machine. The new content is durable on return. Only the owner
// may read it.
func WriteFile(path string, content []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return dir(filepath.Dir(path)).Sync()
}

// SyncFile makes what was appended to a file beside a journal durable, and its name.
func SyncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return dir(filepath.Dir(path)).Sync()
}
