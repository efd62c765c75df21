//go:build linux

// Package lab runs real rigmesh processes on this machine and says what they
// leave behind: processes, containers, mounts, network namespaces and cgroups.
// What it starts carries a mark, so that it finds its own and touches nothing else.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// mark is the environment variable that names a lab's folder in all that it
// starts; containerd and its shims inherit it.
const mark = "RIGMESH_LAB"

// prefix begins the name of every lab's folder.
const prefix = "rigmesh-lab-"

// Lab is a folder, and the processes that work in it. One goroutine uses it.
type Lab struct {
	Dir    string // absolute; every command runs in it
	binary string
	nodes  []*Process
}

// New makes a lab in a new folder. binary is the rigmesh to run. Labs whose own
// process was killed are cleared away first.
func New(binary string) (*Lab, error) {
	if err := clearAbandoned(); err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	// A short path: sockets live below it, and their names end at 108 bytes.
	dir, err := os.MkdirTemp("/tmp", prefix)
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: dir, binary: binary}
	return l, os.WriteFile(filepath.Join(dir, "owner.pid"), fmt.Append(nil, os.Getpid()), 0o644)
}

// Use makes binary the rigmesh of every further command. What runs already stays.
func (l *Lab) Use(binary string) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	l.binary = binary
	return nil
}

// Path is a path in the lab's folder.
func (l *Lab) Path(elem ...string) string {
	return filepath.Join(append([]string{l.Dir}, elem...)...)
}

// Command is one run of rigmesh in the lab's folder, on loopback alone. Cancelling
// ctx interrupts it as Ctrl-C would, and kills it 10 s later.
func (l *Lab) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.binary, args...)
	cmd.Dir = l.Dir
	cmd.Env = append(environment(), mark+"="+l.Dir, "RIGMESH_LISTEN=/ip4/127.0.0.1/tcp/0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	// Its own group: a Ctrl-C at the terminal reaches us alone, and we stop the rest in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// Namespace is the name of a network namespace of the lab, which Clear removes.
func (l *Lab) Namespace(name string) string { return namespace(l.Dir, name) }

func namespace(dir, name string) string { return filepath.Base(dir) + "-" + name }

// Enter has a command run in a network namespace, and listen there as nodes do by
// default.
func Enter(namespace string, cmd *exec.Cmd) {
	cmd.Args = append([]string{"nsenter", "--net=/run/netns/" + namespace, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = "/usr/bin/nsenter", nil
	cmd.Env = append(cmd.Env, "RIGMESH_LISTEN=")
}

// environment is ours, without what a person set for nodes of their own.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "RIGMESH_") && !strings.HasPrefix(entry, "RIGMESH_HELPERS=")
	})
}

// Process is a long-lived rigmesh, a node.
type Process struct {
	Name string
	Log  string // file that takes its output
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended
	err  error         // how; after done
}

// Start starts a node; its output goes to NAME.log in the lab's folder.
func (l *Lab) Start(name string, args ...string) (*Process, error) {
	return l.StartWith(nil, name, args...)
}

// StartWith is Start with more in the environment.
func (l *Lab) StartWith(env []string, name string, args ...string) (*Process, error) {
	// Not bound to a context: a node is stopped by Stop, in order, and not at once.
	cmd := l.Command(context.Background(), args...)
	cmd.Env = append(cmd.Env, env...)
	return l.Launch(name, cmd)
}

// Launch starts a node by a command that Command made. Its process id is in NAME.pid.
func (l *Lab) Launch(name string, cmd *exec.Cmd) (*Process, error) {
	log, err := os.OpenFile(l.Path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := os.WriteFile(l.Path(name+".pid"), fmt.Append(nil, cmd.Process.Pid), 0o644); err != nil {
		return nil, err
	}
	p := &Process{Name: name, Log: log.Name(), cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	l.nodes = append(l.nodes, p)
	return p, nil
}

// PID is the node's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the node has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Interrupt asks the node to end, as Ctrl-C would.
func (p *Process) Interrupt() error { return p.cmd.Process.Signal(os.Interrupt) }

// Kill ends the node as a power cut would.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stop asks every node that still runs to end, the last started first, and
// waits for each until ctx is done. It does not clear what they leave: see Remains and Clear.
func (l *Lab) Stop(ctx context.Context) error {
	var errs []error
	for _, p := range slices.Backward(l.nodes) {
		select {
		case <-p.done:
			continue
		default:
		}
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may have been frozen
		if err := p.Interrupt(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("%s (pid %d) did not stop", p.Name, p.PID()))
		}
	}
	return errors.Join(errs...)
}
