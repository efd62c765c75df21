package runtimetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// Memory is a runtime whose tasks are goroutines that run scripts (see the package
// comment). It may be used inside a testing/synctest bubble. Spec.Entrypoint, Limits, User
// and Workdir are ignored, and what an image holds does not matter.
type Memory struct{ *state }

var (
	_ runtime.Runtime = Memory{}
	_ runtime.Images  = Memory{}
)

// state is what outlives a Memory, as containerd outlives a node.
type state struct {
	mu     sync.Mutex
	tasks  map[string]*task
	blobs  map[of][]byte           // whole or in part
	images map[string]runtime.Kept // pulled, by digest
	ready  map[of]bool             // those images
}

// New gives an empty runtime, whose tasks end with the test.
func New(t testing.TB) Memory {
	m := Memory{&state{tasks: make(map[string]*task), blobs: make(map[of][]byte), images: make(map[string]runtime.Kept), ready: make(map[of]bool)}}
	t.Cleanup(func() {
		all, _ := m.List(context.Background())
		for _, s := range all {
			_ = m.Remove(context.Background(), s.ID) // there is nothing that either could fail at
		}
	})
	return m
}

// Reopen gives another Runtime over the same tasks and images, as a restarted node would see.
func (m Memory) Reopen() Memory { return Memory{m.state} }

// Start runs spec.Command as a script.
func (m Memory) Start(_ context.Context, spec runtime.Spec) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tasks[spec.ID] != nil {
		return fmt.Errorf("start task %s: %w", spec.ID, runtime.ErrExists)
	}
	if !m.isReady(spec.Image) {
		return fmt.Errorf("start task %s: image %s is not here: %w", spec.ID, spec.Image.Digest, runtime.ErrImage)
	}
	t, err := newTask(spec)
	if err != nil {
		return fmt.Errorf("start task %s: %w", spec.ID, err)
	}
	m.tasks[spec.ID] = t
	go t.run()
	return nil
}

func (m Memory) task(verb, id string) (*task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tasks[id]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%s task %s: %w", verb, id, runtime.ErrNotFound)
}

// Wait blocks until the script has ended.
func (m Memory) Wait(ctx context.Context, id string) (runtime.Exit, error) {
	t, err := m.task("wait for", id)
	if err != nil {
		return runtime.Exit{}, err
	}
	select {
	case <-ctx.Done():
		return runtime.Exit{}, fmt.Errorf("wait for task %s: %w", id, ctx.Err())
	case <-t.ended:
		return t.status().Exit, nil
	}
}

// Stop acts on the script's idea of SIGTERM, and ends it after grace.
func (m Memory) Stop(ctx context.Context, id string, grace time.Duration) error {
	t, err := m.task("stop", id)
	if err != nil {
		return err
	}
	t.term()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("stop task %s: %w", id, ctx.Err())
	case <-t.ended:
	case <-timer.C:
		t.kill(9)
		<-t.ended
	}
	return nil
}

// Lose ends a task as the shutdown of its machine does.
func (m Memory) Lose(id string) error {
	t, err := m.task("lose", id)
	if err == nil {
		t.end(runtime.Exit{Code: 143, Signal: 15, Lost: true})
	}
	return err
}

// Warn makes a script that handles it print what it said it would.
func (m Memory) Warn(_ context.Context, id string) error {
	t, err := m.task("warn", id)
	if err != nil {
		return err
	}
	t.warn()
	return nil
}

// Pause holds the script before its next instruction; a sleep goes on after Resume.
func (m Memory) Pause(_ context.Context, id string) error { return m.freeze("pause", id, true) }

// Resume lets the script go on.
func (m Memory) Resume(_ context.Context, id string) error { return m.freeze("resume", id, false) }

func (m Memory) freeze(verb, id string, frozen bool) error {
	t, err := m.task(verb, id)
	if err != nil {
		return err
	}
	if !t.freeze(frozen) {
		return fmt.Errorf("%s task %s: it has ended", verb, id)
	}
	return nil
}

// Output reads what the script printed.
func (m Memory) Output(ctx context.Context, id string, stream runtime.Stream, offset int64, follow bool) (io.ReadCloser, error) {
	t, err := m.task("output of", id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	return &reader{ctx: ctx, cancel: cancel, task: t, stream: stream, offset: offset, follow: follow}, nil
}

// Folder is where a folder of the task's own lies.
func (m Memory) Folder(_ context.Context, id, target string) (string, error) {
	t, err := m.task("folder of", id)
	if err != nil {
		return "", err
	}
	for i, mount := range t.spec.Mounts {
		if mount.Source == "" && mount.Target == target {
			return t.dirs[i], nil
		}
	}
	return "", fmt.Errorf("folder %s of task %s: %w", target, id, runtime.ErrNotFound)
}

// Processes are those of a task as the host numbers them: a script is none.
func (m Memory) Processes(_ context.Context, id string) ([]uint32, error) {
	_, err := m.task("processes of", id)
	return nil, err
}

// Status tells how one task stands.
func (m Memory) Status(_ context.Context, id string) (runtime.Status, error) {
	t, err := m.task("status of", id)
	if err != nil {
		return runtime.Status{}, err
	}
	return t.status(), nil
}

// Usage counts what a script can be said to use: its output, as files on its disk.
func (m Memory) Usage(_ context.Context, id string) (runtime.Usage, error) {
	t, err := m.task("usage of", id)
	if err != nil {
		return runtime.Usage{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == runtime.Exited {
		return runtime.Usage{}, fmt.Errorf("usage of task %s: %w", id, runtime.ErrNotRunning)
	}
	return runtime.Usage{
		Pids: 1, DiskBytes: uint64(len(t.output[runtime.Stdout]) + len(t.output[runtime.Stderr])), Files: 2,
		CPUMillis: t.spec.Limits.CPUMillis, MemoryLimit: t.spec.Limits.MemoryBytes, PidsLimit: uint64(t.spec.Limits.Pids), DiskLimit: t.spec.Limits.DiskBytes,
	}, nil
}

// List is in the order of the IDs.
func (m Memory) List(context.Context) ([]runtime.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []runtime.Status
	for _, t := range m.tasks {
		all = append(all, t.status())
	}
	slices.SortFunc(all, func(a, b runtime.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Remove ends a task and forgets it.
func (m Memory) Remove(_ context.Context, id string) error {
	t, err := m.task("remove", id)
	if err != nil {
		return nil // it is not there
	}
	t.kill(9)
	<-t.ended
	t.clear()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tasks[id] == t {
		delete(m.tasks, id)
	}
	return nil
}
