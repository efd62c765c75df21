//go:build linux

package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/assets"
	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// ErrBusy: tasks still run.
var ErrBusy = errors.New("tasks still run")

// startWithin is how long a daemon may take until it serves. Loading many tasks
// after a kill takes the longest.
const startWithin = 30 * time.Second

// daemonOf finds the daemon that tasks run in, and the programs they run with.
func (r *Runtime) daemonOf(ctx context.Context) (*client.Client, assets.Programs, error) {
	if r.cfg.Socket != "" {
		return openSystem(ctx, r.paths, r.cfg.Socket)
	}
	return openDaemon(ctx, r.paths, r.cfg.Executable, r.log)
}

// openDaemon finds the daemon of a state folder or starts it.
func openDaemon(ctx context.Context, p paths, executable string, log *slog.Logger) (*client.Client, assets.Programs, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		c, err := dial(ctx, daemon.Socket(p.state))
		if err == nil {
			var programs assets.Programs
			if ok, err := record.Read(p.state, daemon.ProgramsFile, &programs); !ok || err != nil {
				_ = c.Close()
				return nil, programs, fmt.Errorf("where containerd put its programs: %v", err)
			}
			return c, programs, nil
		}
		_, running, rerr := daemon.Running(p.state)
		if rerr == nil && !running {
			if err := startDaemon(ctx, p, executable); err != nil {
				return nil, assets.Programs{}, err
			}
			log.Debug("containerd started", "state", p.state)
			continue
		}
		// It is starting or going. Its lock changes hands at once when it ends.
		if pause(ctx, 20*time.Millisecond) != nil {
			return nil, assets.Programs{}, fmt.Errorf("containerd in %s does not answer: %w", p.state, errors.Join(err, rerr))
		}
	}
}

// dial connects to a daemon that serves. A plain connection comes first: a stale
// socket costs gRPC two seconds of back-off.
func dial(ctx context.Context, socket string) (*client.Client, error) {
	probe, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	c, err := client.New(socket, client.WithTimeout(10*time.Second))
	if err != nil {
		return nil, err
	}
	// The question waits for a connection however long that takes: the daemon may have died
	// since the probe.
	asking, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if ok, err := c.IsServing(asking); !ok || err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("containerd does not serve: %w", err)
	}
	return c, nil
}

// startDaemon starts the child in a session of its own, so that no signal meant for
// the node reaches it, and returns when it serves.
func startDaemon(ctx context.Context, p paths, executable string) error {
	if err := os.MkdirAll(p.root, 0o711); err != nil {
		return err
	}
	logFile, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	began, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(executable, daemon.Args(p.root, p.state)...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	go func() { _ = cmd.Wait() }() // for as long as the child lives: nobody else collects it

	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("start containerd: %w", ctx.Err())
		}
		if _, running, _ := daemon.Running(p.state); running {
			return nil // another one was faster
		}
		return fmt.Errorf("start containerd: %s", lastLine(logFile, began))
	}
	return nil
}

// lastLine is the last line that was logged after an offset.
func lastLine(f *os.File, from int64) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, from, 1<<20))
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return "it ended without a word"
	}
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

// Shutdown ends the containerd child; the system's stays. ErrBusy when a task has not ended.
func (r *Runtime) Shutdown(ctx context.Context) error {
	process, running, err := daemon.Running(r.paths.state)
	if err != nil || !running && r.cfg.Socket == "" {
		return err
	}
	r.letting.Wait()
	tasks, err := r.List(ctx)
	if err != nil {
		return fmt.Errorf("shut containerd down: %w", err)
	}
	for _, t := range tasks {
		if t.State != runtime.Exited {
			return fmt.Errorf("shut containerd down: %s: %w", t.ID, ErrBusy)
		}
	}
	if err := r.Sweep(ctx); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	if running {
		if err := endDaemon(ctx, r.paths.state, process); err != nil {
			return err
		}
	}
	for _, t := range tasks { // what they left is kept on their disks, which are mounted again when it is asked for
		if err := r.unmountAll(t.ID); err != nil {
			return err
		}
	}
	for _, root := range hierarchies() {
		_ = unix.Rmdir(filepath.Join(root, r.namespace)) // empty by now; if not, it is in use
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || bytes.Contains(mounts, []byte(r.paths.state)) {
		return err // never delete through a mount
	}
	return os.RemoveAll(r.paths.state)
}

// endDaemon asks exactly this process to end, and makes it when it does not.
func endDaemon(ctx context.Context, state string, p daemon.Process) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return fmt.Errorf("end containerd: %w", err)
	}
	defer unix.Close(fd)
	if now, running, err := daemon.Running(state); err != nil || !running || now != p {
		return err // it went by itself; the number may be somebody else's by now
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end containerd: %w", err)
		}
		if ended, err := awaitEnd(ctx, fd, 10*time.Second); ended || err != nil {
			return err
		}
	}
	return errors.New("end containerd: it is still there")
}

// awaitEnd waits until the process of a pidfd has ended.
func awaitEnd(ctx context.Context, fd int, within time.Duration) (bool, error) {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return false, nil
}
