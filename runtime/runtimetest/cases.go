package runtimetest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

func exitCodes(t *testing.T, h Harness) {
	for _, code := range []int{0, 1, 7, 42} {
		id := h.start(t, runtime.Spec{}, fmt.Sprintf("exit %d", code))
		exit := h.wait(t, id)
		equal(t, "code", exit.Code, code)
		equal(t, "signal", exit.Signal, 0)
		equal(t, "state", h.state(t, id), runtime.Exited)
	}
}

func notStarted(t *testing.T, h Harness) {
	for code, command := range map[int][]string{127: {"/no/such/program"}, 126: h.NotExecutable} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		id := h.start(t, runtime.Spec{Command: command, Mounts: []runtime.Mount{{Source: dir, Target: "/plain"}}})
		exit := h.wait(t, id)
		equal(t, "code", exit.Code, code)
		if exit.Error == "" {
			t.Errorf("exit %d does not say why", code)
		}
	}
}

func outputs(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "print out one", "eprint err one", "print out two")
	h.wait(t, id)
	equal(t, "stdout", h.read(t, id, runtime.Stdout, 0, false), "out one\nout two\n")
	equal(t, "stderr", h.read(t, id, runtime.Stderr, 0, false), "err one\n")
	equal(t, "stdout from 8 on", h.read(t, id, runtime.Stdout, 8, true), "out two\n")
	equal(t, "stdout from its end on", h.read(t, id, runtime.Stdout, 16, true), "")
}

func follows(t *testing.T, h Harness) {
	dir := t.TempDir()
	id := h.start(t, runtime.Spec{Mounts: []runtime.Mount{{Source: dir, Target: "/mnt"}}},
		"print before", "await /mnt/go", "print after", "exit 3")
	h.ready(t, id)
	got := make(chan string)
	go func() { got <- h.read(t, id, runtime.Stdout, 0, true) }()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	equal(t, "stdout", <-got, "before\nafter\n")
}

func unfollows(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "print here", "sleep 1h")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := h.Runtime.Output(ctx, id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "here\n" {
		t.Fatalf("read %q, %v", b, err)
	}
	cancel()
	if n, err := r.Read(b); err == nil || err == io.EOF {
		t.Errorf("read %d bytes, %v: the task has not ended", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func stopHandled(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "on-term 5", "print ready", "sleep 1h")
	h.ready(t, id)
	if err := h.Runtime.Stop(t.Context(), id, time.Hour); err != nil {
		t.Fatal(err)
	}
	exit := h.wait(t, id)
	equal(t, "code", exit.Code, 5)
	equal(t, "signal", exit.Signal, 0)
}

func stopIgnored(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "ignore-term", "print ready", "sleep 1h")
	h.ready(t, id)
	if err := h.Runtime.Stop(t.Context(), id, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	exit := h.wait(t, id)
	equal(t, "code", exit.Code, 137)
	equal(t, "signal", exit.Signal, 9)
	equal(t, "OOM", exit.OOM, false)
	equal(t, "stdout", h.read(t, id, runtime.Stdout, 0, true), "ready\n")
}

func stopEnded(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "exit 4")
	h.wait(t, id)
	if err := h.Runtime.Stop(t.Context(), id, time.Hour); err != nil {
		t.Error(err)
	}
	equal(t, "code", h.wait(t, id).Code, 4)
}

func warned(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "on-warn saving", "print ready", "sleep 1h", "exit 6")
	h.ready(t, id)
	if err := h.Runtime.Warn(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	equal(t, "code", h.wait(t, id).Code, 6)
	equal(t, "stdout", h.read(t, id, runtime.Stdout, 0, true), "ready\nsaving\n")
	if err := h.Runtime.Warn(t.Context(), id); err != nil {
		t.Errorf("warning an ended task: %v", err)
	}
}

func notWarned(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "on-term 5", "print ready", "sleep 1h")
	h.ready(t, id)
	if err := h.Runtime.Warn(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := h.Runtime.Stop(t.Context(), id, time.Hour); err != nil {
		t.Fatal(err)
	}
	equal(t, "code", h.wait(t, id).Code, 5)
}

func pauses(t *testing.T, h Harness) {
	dir := t.TempDir()
	id := h.start(t, runtime.Spec{Mounts: []runtime.Mount{{Source: dir, Target: "/mnt"}}}, "print ready", "await /mnt/go")
	h.ready(t, id)
	if err := h.Runtime.Pause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	equal(t, "state", h.state(t, id), runtime.Paused)
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	equal(t, "state", h.state(t, id), runtime.Paused)
	if err := h.Runtime.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	equal(t, "code", h.wait(t, id).Code, 0)
}

func stopPaused(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "ignore-term", "print ready", "sleep 1h")
	h.ready(t, id)
	if err := h.Runtime.Pause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := h.Runtime.Stop(t.Context(), id, 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	equal(t, "code", h.wait(t, id).Code, 137)
}

func environment(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{Env: []string{"WORD=a b'c"}}, "env WORD")
	h.wait(t, id)
	equal(t, "stdout", h.read(t, id, runtime.Stdout, 0, false), "a b'c\n")
}

func ids(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "exit 0")
	spec := runtime.Spec{ID: id, Image: h.Image, Command: h.Command([]string{"exit 1"})}
	is(t, h.Runtime.Start(t.Context(), spec), runtime.ErrExists)
	h.wait(t, id)
	is(t, h.Runtime.Start(t.Context(), spec), runtime.ErrExists)
	if err := h.Runtime.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.start(t, spec)
	equal(t, "code", h.wait(t, id).Code, 1)
}

func notFound(t *testing.T, h Harness) {
	ctx, r := t.Context(), h.Runtime
	_, err := r.Wait(ctx, "nobody")
	is(t, err, runtime.ErrNotFound)
	_, err = r.Status(ctx, "nobody")
	is(t, err, runtime.ErrNotFound)
	_, err = r.Output(ctx, "nobody", runtime.Stdout, 0, false)
	is(t, err, runtime.ErrNotFound)
	is(t, r.Stop(ctx, "nobody", 0), runtime.ErrNotFound)
	is(t, r.Pause(ctx, "nobody"), runtime.ErrNotFound)
	is(t, r.Warn(ctx, "nobody"), runtime.ErrNotFound)
	is(t, r.Resume(ctx, "nobody"), runtime.ErrNotFound)
}

func removes(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "ignore-term", "print ready", "sleep 1h")
	h.ready(t, id)
	for range 2 {
		if err := h.Runtime.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	all, err := h.Runtime.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			t.Errorf("%s is still listed", id)
		}
	}
	_, err = h.Runtime.Output(t.Context(), id, runtime.Stdout, 0, false)
	is(t, err, runtime.ErrNotFound)
}

func waitTwice(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "print ready", "sleep 50ms", "exit 9")
	codes := make(chan int)
	for range 2 {
		go func() {
			exit, err := h.Runtime.Wait(t.Context(), id)
			if err != nil {
				t.Error(err)
			}
			codes <- exit.Code
		}()
	}
	equal(t, "code", <-codes, 9)
	equal(t, "code", <-codes, 9)
}

func waitEnds(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "print ready", "sleep 1h")
	h.ready(t, id)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := h.Runtime.Wait(ctx, id)
	is(t, err, context.Canceled)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = h.Runtime.Wait(ctx, id)
	is(t, err, context.DeadlineExceeded)
	equal(t, "state", h.state(t, id), runtime.Running)
}

func lists(t *testing.T, h Harness) {
	running, ended := h.start(t, runtime.Spec{}, "sleep 1h"), h.start(t, runtime.Spec{}, "exit 8")
	h.wait(t, ended)
	all, err := h.Runtime.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]runtime.Status)
	for _, s := range all {
		found[s.ID] = s
	}
	equal(t, "state", found[running].State, runtime.Running)
	equal(t, "state", found[ended].State, runtime.Exited)
	equal(t, "code", found[ended].Exit.Code, 8)
}

func reopens(t *testing.T, h Harness) {
	dir := t.TempDir()
	id := h.start(t, runtime.Spec{Mounts: []runtime.Mount{{Source: dir, Target: "/mnt"}}},
		"print before", "await /mnt/go", "print after", "exit 6")
	h.ready(t, id)
	h.Runtime = h.Reopen(t)
	equal(t, "state", h.state(t, id), runtime.Running)
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	equal(t, "code", h.wait(t, id).Code, 6)
	h.Runtime = h.Reopen(t)
	equal(t, "code", h.wait(t, id).Code, 6)
	equal(t, "stdout", h.read(t, id, runtime.Stdout, 0, true), "before\nafter\n")
}
