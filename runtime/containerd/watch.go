//go:build linux

package containerd

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is how often whoever has no watch of the kernel's looks by itself.
const lookEvery = 250 * time.Millisecond

// watch tells when a file or a folder changed.
type watch struct {
	file *os.File
	stop func() bool
	buf  [4096]byte
}

// newWatch watches path until ctx ends or Close. The kernel has few watches for each user, and
// counts those of tasks as ours: with none left, a clock tells to look again instead.
func newWatch(ctx context.Context, path string) (*watch, error) {
	fd, err := kernelWatch(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		fd, err = clock(path)
	}
	if err != nil {
		return nil, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	w := &watch{file: os.NewFile(uintptr(fd), "watch")}
	w.stop = context.AfterFunc(ctx, w.Interrupt)
	return w, nil
}

func kernelWatch(path string) (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, err
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE_SELF); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// clock can be read once in each lookEvery. It wants path to be there, as a watch does.
func clock(path string) (int, error) {
	if err := unix.Access(path, unix.F_OK); err != nil {
		return -1, err
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return -1, err
	}
	every := unix.NsecToTimespec(lookEvery.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Next blocks until something changed since the last call, or may have. An error means that
// the watch was interrupted.
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
