//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// output copies one output of the job from a pipe to a file. The job gets a
// pipe and not the file, so that `> /dev/stdout` cannot cut off what is there.
type output struct {
	from  io.Reader
	to    *os.File
	limit int64
	done  chan struct{}
}

func newOutput(dir, name string, limit int64) (*output, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	// The job opens /dev/stdout as its own user.
	if err := w.Chmod(0o666); err != nil {
		return nil, nil, fmt.Errorf("open the pipe of %s to the job: %w", name, err)
	}
	o, err := outputOf(r, dir, name, limit)
	return o, w, err
}

// outputOf is an output that comes from somewhere.
func outputOf(from io.Reader, dir, name string, limit int64) (*output, error) {
	to, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &output{from: from, to: to, limit: limit, done: make(chan struct{})}, nil
}

// copy runs until every writer is gone. A full disk or a full quota loses output
// and never blocks the job. What came is durable on return: how the job ended is
// written down next, and must not outlive what it said.
func (o *output) copy() {
	defer close(o.done)
	n, err := io.CopyN(o.to, o.from, o.limit)
	if err == nil {
		if more, _ := o.from.Read(make([]byte, 1)); more > 0 {
			fmt.Fprintf(o.to, "\nrigmesh: output over %d bytes is dropped\n", o.limit)
		}
	}
	_, _ = io.Copy(io.Discard, o.from)
	if n > 0 {
		_ = o.to.Sync() // a full disk, at worst
	}
	_ = o.to.Close()
}

// oomKills counts the processes of this task that the kernel killed for want of
// memory: our cgroup is the root of what we see.
func oomKills() int {
	for _, path := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if name, n, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == "oom_kill" {
				count, _ := strconv.Atoi(n)
				return count
			}
		}
	}
	return 0
}
