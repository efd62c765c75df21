package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

// running starts a task that does nothing until it is removed.
func (h Harness) running(t *testing.T, spec runtime.Spec) string {
	t.Helper()
	id := h.start(t, spec, "print ready", "sleep 1h")
	h.ready(t, id)
	return id
}

// exec runs a script in a task to its end.
func (h Harness) exec(t *testing.T, id string, e runtime.Exec, script ...string) (stdout, stderr string, exit runtime.Exit) {
	t.Helper()
	var out, errs bytes.Buffer
	e.Args, e.Stdout, e.Stderr = h.Command(script), &out, &errs
	exit, err := h.Runtime.Exec(t.Context(), id, e)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), exit
}

func execs(t *testing.T, h Harness) {
	id := h.running(t, runtime.Spec{})
	for _, code := range []int{0, 1, 7, 42} {
		stdout, stderr, exit := h.exec(t, id, runtime.Exec{}, "print out", "eprint err", fmt.Sprintf("exit %d", code))
		equal(t, "code", exit.Code, code)
		equal(t, "stdout", stdout, "out\n")
		equal(t, "stderr", stderr, "err\n")
	}
	equal(t, "output of the task", h.read(t, id, runtime.Stdout, 0, false), "ready\n")
}

func execsAtOnce(t *testing.T, h Harness) {
	id := h.start(t, runtime.Spec{}, "sleep 1h")
	_, _, exit := h.exec(t, id, runtime.Exec{}, "exit 7")
	equal(t, "code", exit.Code, 7)
}

func execsNothing(t *testing.T, h Harness) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	id := h.running(t, runtime.Spec{Mounts: []runtime.Mount{{Source: dir, Target: "/plain"}}})
	for code, args := range map[int][]string{127: {"/no/such/program"}, 126: h.NotExecutable} {
		exit, err := h.Runtime.Exec(t.Context(), id, runtime.Exec{Args: args})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "code", exit.Code, code)
	}
}

func execReads(t *testing.T, h Harness) {
	id := h.running(t, runtime.Spec{})
	sent := strings.Repeat("0123456789abcde\n", 3<<16)
	stdout, _, exit := h.exec(t, id, runtime.Exec{Stdin: strings.NewReader(sent)}, "cat", "exit 3")
	equal(t, "code", exit.Code, 3)
	if stdout != sent {
		t.Errorf("%d bytes came back of %d, or others", len(stdout), len(sent))
	}
	stdout, _, _ = h.exec(t, id, runtime.Exec{}, "cat")
	equal(t, "of nothing", stdout, "")
}

func execEnvironment(t *testing.T, h Harness) {
	id := h.running(t, runtime.Spec{Env: []string{"OLD=task", "BOTH=task"}})
	stdout, _, _ := h.exec(t, id, runtime.Exec{Env: []string{"BOTH=exec", "NEW=a b'c"}}, "env OLD", "env BOTH", "env NEW")
	equal(t, "stdout", stdout, "task\nexec\na b'c\n")
}

func execSignalled(t *testing.T, h Harness) {
	id := h.running(t, runtime.Spec{})
	signals := make(chan int, 1)
	out := &announced{want: "ready\n", then: func() { signals <- int(syscall.SIGTERM) }}
	exit, err := h.Runtime.Exec(t.Context(), id, runtime.Exec{
		Args: h.Command([]string{"on-term 5", "print ready", "sleep 1h"}), Stdout: out, Signals: signals})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "code", exit.Code, 5)
}

func execEndsWithTask(t *testing.T, h Harness) {
	id := h.running(t, runtime.Spec{})
	out := &announced{want: "ready\n", then: func() { go func() { _ = h.Runtime.Stop(t.Context(), id, 0) }() }}
	exit, err := h.Runtime.Exec(t.Context(), id, runtime.Exec{
		Args: h.Command([]string{"ignore-term", "print ready", "sleep 1h", "sleep 1h"}), Stdout: out})
	if err == nil { // it may also be gone before anybody could look
		equal(t, "code", exit.Code, 137)
	}
	h.wait(t, id)
}

func execEndsWithCaller(t *testing.T, h Harness) {
	id := h.running(t, runtime.Spec{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &announced{want: "ready\n", then: cancel}
	_, err := h.Runtime.Exec(ctx, id, runtime.Exec{Args: h.Command([]string{"print ready", "sleep 1h"}), Stdout: out})
	is(t, err, context.Canceled)
	equal(t, "state", h.state(t, id), runtime.Running)
}

func execNowhere(t *testing.T, h Harness) {
	e := runtime.Exec{Args: h.Command([]string{"exit 0"})}
	_, err := h.Runtime.Exec(t.Context(), "nobody", e)
	is(t, err, runtime.ErrNotFound)
	id := h.running(t, runtime.Spec{})
	if err := h.Runtime.Pause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	_, err = h.Runtime.Exec(t.Context(), id, e)
	is(t, err, runtime.ErrNotRunning)
	if err := h.Runtime.Stop(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	_, err = h.Runtime.Exec(t.Context(), id, e)
	is(t, err, runtime.ErrNotRunning)
}

func execCarries(t *testing.T, h Harness) {
	dir := t.TempDir()
	for name, content := range map[string]string{"data/a": "one", "data/sub/b": "two"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	id := h.running(t, runtime.Spec{Mounts: []runtime.Mount{{Source: dir, Target: "/mnt"}}})
	var packed, errs bytes.Buffer
	exit, err := h.Runtime.Exec(t.Context(), id, runtime.Exec{Program: runtime.Pack, Args: []string{"/mnt/data"}, Stdout: &packed, Stderr: &errs})
	if err != nil || exit.Code != 0 {
		t.Fatalf("pack: %+v, %v, %s", exit, err, &errs)
	}
	exit, err = h.Runtime.Exec(t.Context(), id, runtime.Exec{Program: runtime.Unpack, Args: []string{"/mnt", "again"}, Stdin: &packed, Stderr: &errs})
	if err != nil || exit.Code != 0 {
		t.Fatalf("unpack: %+v, %v, %s", exit, err, &errs)
	}
	b, err := os.ReadFile(filepath.Join(dir, "again", "sub", "b"))
	if err != nil || string(b) != "two" {
		t.Errorf("came back as %q, %v", b, err)
	}
	exit, err = h.Runtime.Exec(t.Context(), id, runtime.Exec{Program: runtime.Pack, Args: []string{"/mnt/none"}, Stdout: &packed, Stderr: &errs})
	if err != nil || exit.Code != 1 || errs.Len() == 0 {
		t.Errorf("packing what is not there: %+v, %v, %s", exit, err, &errs)
	}
}

// announced calls then once it has been written what it wants.
type announced struct {
	want string
	then func()
	got  bytes.Buffer
}

var _ io.Writer = (*announced)(nil)

func (a *announced) Write(p []byte) (int, error) {
	a.got.Write(p)
	if a.then != nil && strings.Contains(a.got.String(), a.want) {
		a.then()
		a.then = nil
	}
	return len(p), nil
}
