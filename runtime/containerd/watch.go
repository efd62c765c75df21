//go:build linux

package containerd

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watch tells when a file or a folder changed.
type watch struct {
	file *os.File
	stop func() bool
	buf  [4096]byte
}

// newWatch watches path until ctx ends or Close.
func newWatch(ctx context.Context, path string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	w := &watch{file: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE_SELF); err != nil {
		_ = w.file.Close()
		return nil, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	w.stop = context.AfterFunc(ctx, w.Interrupt)
	return w, nil
}

// Next blocks until something changed since the last call. An error means that the
// watch was interrupted.
func (w *watch) Next() error {
	_, err := w.file.Read(w.buf[:])
	return err
}

// Interrupt ends this and every later Next.
func (w *watch) Interrupt() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) }

// Close lets go of the watch.
func (w *watch) Close() error {
	w.stop()
	return w.file.Close()
}
