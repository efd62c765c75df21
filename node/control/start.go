package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ExitLocked is the exit code of a process that found its data directory owned by
// another. EnsureRunning takes it for "somebody else was faster".
const ExitLocked = 75

// How long EnsureRunning waits for a new node to answer, and how it looks.
const (
	startDeadline = 20 * time.Second
	firstLook     = 2 * time.Millisecond
	lastLook      = 50 * time.Millisecond
)

// Starter says how to start a node in the background.
type Starter struct {
	Executable string   // empty: this program
	Args       []string // "node", "--requester", …; "--data" is among them
	Env        []string // over this process's own
}

// EnsureRunning connects to the node that owns dataDir. When there is none it starts one,
// detached from this terminal and logging to DIR/node.log, and waits until it answers. Of
// several callers at once one wins; the others connect to its node.
func EnsureRunning(ctx context.Context, dataDir string, start Starter) (*Client, error) {
	client, err := Dial(ctx, dataDir)
	if !errors.Is(err, ErrNotRunning) {
		return client, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startDeadline,
		fmt.Errorf("no answer from the node on %s within %s", dataDir, startDeadline))
	defer cancel()
	for {
		child, err := launch(dataDir, start)
		if err != nil {
			return nil, err
		}
		client, err := child.answer(ctx, dataDir)
		if !errors.Is(err, errLoser) {
			return client, err
		}
		// The owner may be one that is just leaving: then nobody answers, and after
		// a moment it is our turn again.
		if client, err = waitFor(ctx, dataDir, lastLook); err == nil {
			return client, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// Await connects to the node of dataDir as soon as it answers, until ctx is done.
func Await(ctx context.Context, dataDir string) (*Client, error) {
	return waitFor(ctx, dataDir, 0)
}

// waitFor is Await that gives up with ErrNotRunning after patience, when it is not 0.
func waitFor(ctx context.Context, dataDir string, patience time.Duration) (*Client, error) {
	begin := time.Now()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		client, err := Dial(ctx, dataDir)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, ErrNotRunning) {
			return client, err
		}
		if patience > 0 && time.Since(begin) > patience {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// errLoser: the child found the data directory owned by another process.
var errLoser = errors.New("another node owns the data directory")

// child is a node that this process started.
type child struct {
	pid     int
	exited  chan error // one value, when it has
	log     string
	logFrom int64 // where its own lines begin
}

// launch starts a node in a session of its own: closing the terminal does not end it.
func launch(dataDir string, start Starter) (*child, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	path := filepath.Join(dataDir, "node.log")
	logFile, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of the node: %w", err)
	}
	defer logFile.Close()
	size, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("open log of the node: %w", err)
	}
	exe := start.Executable
	if exe == "" {
		if exe, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
	}
	cmd := exec.Command(exe, start.Args...)
	cmd.Env = append(os.Environ(), start.Env...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Dir = dataDir // not the folder the person is in, which may be unmounted later
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a node in the background: %w", err)
	}
	c := &child{pid: cmd.Process.Pid, exited: make(chan error, 1), log: path, logFrom: size}
	go func() { c.exited <- cmd.Wait() }()
	return c, nil
}

// answer waits until the data directory's node answers or the child has ended.
func (c *child) answer(ctx context.Context, dataDir string) (*Client, error) {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case err := <-c.exited:
			cancel(c.why(err))
		case <-waiting.Done():
		}
	}()
	client, err := c.own(waiting, dataDir)
	cancel(nil)
	<-ended
	if err == nil || errors.Is(err, errLoser) {
		return client, err
	}
	return nil, fmt.Errorf("start a node in the background: %w%s", err, c.lastLines())
}

// own connects to the child itself. While another node answers, the child is about to find
// that out and end; left alone it could find the other gone, and stay.
func (c *child) own(ctx context.Context, dataDir string) (*Client, error) {
	for {
		client, err := Await(ctx, dataDir)
		if err != nil {
			return nil, err
		}
		if st, err := client.Status(ctx); err == nil && int(st.Pid) == c.pid {
			return client, nil
		}
		client.Close()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(firstLook):
		}
	}
}

// why says what the end of the child means.
func (c *child) why(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == ExitLocked {
		return errLoser
	}
	if err == nil {
		return errors.New("it ended at once")
	}
	return fmt.Errorf("it ended: %w", err)
}

// lastLines gives the end of what the child logged, for an error message.
func (c *child) lastLines() string {
	f, err := os.Open(c.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 4 << 10
	from := c.logFrom
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		from = max(from, size-most)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, from, most))
	if text = bytes.TrimSpace(text); err != nil || len(text) == 0 {
		return fmt.Sprintf(" (%s says nothing)", c.log)
	}
	lines := strings.Split(string(text), "\n")
	lines = lines[max(0, len(lines)-5):]
	return fmt.Sprintf("\n  the end of %s:\n    %s", c.log, strings.Join(lines, "\n    "))
}

// AwaitGone blocks until no process owns dataDir, or ctx is done.
func AwaitGone(ctx context.Context, dataDir string) error {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		release, err := Lock(dataDir)
		if err == nil {
			release()
			return nil
		}
		var locked *LockedError
		if !errors.As(err, &locked) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
