package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// LockedError says that another process owns the data directory.
type LockedError struct {
	DataDir string
	PID     int // 0 when it has not said
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("another rigmesh owns %s", e.DataDir)
	}
	return fmt.Sprintf("another rigmesh (pid %d) owns %s", e.PID, e.DataDir)
}

// errHeld is what tryLock says of a lock that somebody else holds.
var errHeld = errors.New("lock is held")

// Lock makes this process the owner of dataDir until release is called or it ends,
// however it ends. The directory is created 0700 when it is missing. When another
// process is the owner the error is a *LockedError.
func Lock(dataDir string) (release func(), err error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dataDir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errHeld) {
			return nil, &LockedError{DataDir: dataDir, PID: readPID(f)}
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if err := writePID(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write pid into %s: %w", f.Name(), err)
	}
	return func() {
		_ = f.Truncate(0)
		_ = f.Close() // releases the lock; the file stays, or two could hold two files of one name
	}, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readPID(f *os.File) int {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return 0
	}
	return pid
}
