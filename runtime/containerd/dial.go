//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	goruntime "runtime"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
)

// Dial connects to a port at the task's own loopback address, from inside its network
// namespace. There is no other address to name, so nothing else can be reached.
func (r *Runtime) Dial(ctx context.Context, id string, port uint16) (runtime.Conn, error) {
	conn, err := r.dial(ctx, id, port)
	if err != nil {
		return nil, fmt.Errorf("port %d of task %s: %w", port, id, err)
	}
	return conn, nil
}

func (r *Runtime) dial(ctx context.Context, id string, port uint16) (*net.TCPConn, error) {
	_, ended, err := r.ended(id)
	if err != nil {
		return nil, err
	}
	process := -1
	if !ended {
		err = r.withTask(ctx, id, func(ctx context.Context, task client.Task) error {
			status, err := task.Status(ctx)
			if err != nil || status.Status != client.Running {
				return err
			}
			process, err = r.hold(id, int(task.Pid()))
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if process < 0 {
		return nil, runtime.ErrNotRunning
	}
	defer unix.Close(process)
	return dialIn(ctx, process, port)
}

// hold gives a descriptor of a task's first process. A number that another process was
// given meanwhile is told by its cgroup: the namespaces of that one must not be entered.
func (r *Runtime) hold(id string, pid int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, runtime.ErrNotRunning
	}
	if err != nil {
		return -1, err
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	// Signal 0 last: a process that is there now was there when its cgroup was read.
	if err != nil || !inCgroup(string(groups), r.cgroup(id).path) || unix.PidfdSendSignal(process, 0, nil, 0) != nil {
		_ = unix.Close(process)
		return -1, runtime.ErrNotRunning
	}
	return process, nil
}

// inCgroup says whether a process's file of cgroups names one. What comes before it is
// where this machine's hierarchies begin, which is not their root in a container.
func inCgroup(text, path string) bool {
	for line := range strings.Lines(text) {
		if strings.HasSuffix(strings.TrimSpace(line), "/"+path) {
			return true
		}
	}
	return false
}

// dialIn connects inside the network namespace of a process. A socket stays in the
// namespace in which it was made.
func dialIn(ctx context.Context, process int, port uint16) (*net.TCPConn, error) {
	type dialled struct {
		conn *net.TCPConn
		err  error
	}
	done := make(chan dialled, 1)
	go func() {
		goruntime.LockOSThread() // for good: a thread in another namespace is of no use to others
		var d dialled
		if d.err = unix.Setns(process, unix.CLONE_NEWNET); d.err == nil {
			d.conn, d.err = dialLoopback(ctx, port)
		}
		done <- d
	}()
	d := <-done
	switch {
	case errors.Is(d.err, unix.ESRCH):
		return nil, runtime.ErrNotRunning
	case errors.Is(d.err, unix.ECONNREFUSED):
		return nil, runtime.ErrNotListening
	}
	return d.conn, d.err
}

// dialLoopback connects on this thread: with one address, named by number, nothing is
// looked up and no goroutine dials on its own. Most programs listen on IPv4.
func dialLoopback(ctx context.Context, port uint16) (*net.TCPConn, error) {
	var d net.Dialer
	conn, err := d.DialTCP(ctx, "tcp4", netip.AddrPort{}, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	if !errors.Is(err, unix.ECONNREFUSED) {
		return conn, err
	}
	if six, err := d.DialTCP(ctx, "tcp6", netip.AddrPort{}, netip.AddrPortFrom(netip.IPv6Loopback(), port)); err == nil {
		return six, nil
	}
	return nil, err
}
