//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// Attach connects to the input of a task's job, and to its terminal. It asks the task's init
// by a socket, and so needs no containerd; a frozen one answers once it is thawed.
func (r *Runtime) Attach(ctx context.Context, id string, a runtime.Attachment) error {
	err := r.attach(ctx, id, a)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("attach to task %s: %w", id, err)
	}
	return nil
}

func (r *Runtime) attach(ctx context.Context, id string, a runtime.Attachment) error {
	_, ended, err := r.ended(id)
	if err != nil {
		return err
	}
	if ended {
		return fmt.Errorf("it has ended: %w", runtime.ErrNotRunning)
	}
	var job record.Job
	ok, err := record.Read(r.paths.record(id), record.JobFile, &job)
	switch {
	case err != nil:
		return err
	case ok && !job.Stdin && !job.Terminal:
		return runtime.ErrNoInput
	}
	conn, err := r.reach(ctx, id)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	over := make(chan struct{})
	defer close(over)
	if a.Size != nil {
		_, _ = conn.Write(record.SizeOf(a.Size.Rows, a.Size.Columns)) // if it is gone, so says watch
	}
	go resize(conn, a.Resized, over)
	go feed(conn, a.Stdin)
	return watchTerminal(conn, a)
}

// reach connects to the init of a task, which listens before it is known to have started.
func (r *Runtime) reach(ctx context.Context, id string) (*net.UnixConn, error) {
	for ctx.Err() == nil {
		if err := r.awaitStarted(ctx, id); err != nil {
			return nil, err
		}
		started := record.Marked(r.paths.record(id), record.StartedFile)
		conn, err := dialInput(r.paths.record(id))
		if started || !errors.Is(err, runtime.ErrNotRunning) {
			return conn, err
		}
		if _, ended, _ := r.ended(id); ended || r.gone(id) || record.Marked(r.paths.record(id), record.ExitFile) {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

// dialInput connects to the init of a task. No link may be in the way: the init is not ours alone to trust.
func dialInput(dir string) (*net.UnixConn, error) {
	fd, err := unix.Open(filepath.Join(dir, record.InputSocket), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("it is being started: %w", runtime.ErrNotRunning)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	// By descriptor: it is what was opened, and its path is never too long for a socket.
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: fmt.Sprintf("/proc/self/fd/%d", fd)})
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil, fmt.Errorf("it is ending: %w", runtime.ErrNotRunning)
	}
	return conn, err
}

func resize(conn *net.UnixConn, sizes <-chan runtime.Size, over <-chan struct{}) {
	for {
		select {
		case size := <-sizes:
			if _, err := conn.Write(record.SizeOf(size.Rows, size.Columns)); err != nil {
				return
			}
		case <-over:
			return
		}
	}
}

// feed passes input on to its end.
func feed(conn *net.UnixConn, from io.Reader) {
	if from == nil {
		return
	}
	packet := make([]byte, 1+record.PacketBytes)
	packet[0] = record.InputPacket
	for {
		n, err := from.Read(packet[1:])
		if n > 0 {
			if _, werr := conn.Write(packet[:1+n]); werr != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) { // input that broke off is not all there was
				_, _ = conn.Write([]byte{record.EndPacket})
			}
			return
		}
	}
}

// watchTerminal hands on what comes until there is no more.
func watchTerminal(conn *net.UnixConn, a runtime.Attachment) error {
	packet := make([]byte, 1+record.PacketBytes)
	for {
		n, err := conn.Read(packet)
		if n == 0 && (err == nil || errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET)) {
			return nil
		}
		if err != nil {
			return err
		}
		to := a.Stdout
		if packet[0] == record.EarlierPacket {
			to = a.Earlier
		}
		if to == nil || n == 1 {
			continue
		}
		if _, err := to.Write(packet[1:n]); err != nil {
			return err
		}
	}
}
