package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// Harness is a runtime under test and what the suite needs to know of it.
type Harness struct {
	Runtime runtime.Runtime
	// Image is pulled already and can run scripts.
	Image runtime.Image
	// Command turns a script into what Spec.Command is to be; see the package comment.
	Command func(script []string) []string
	// NotExecutable is a command whose program is there and cannot be executed.
	NotExecutable []string
	// NewImage makes an image that no runtime has pulled yet.
	NewImage func(t *testing.T) (runtime.Image, runtime.BlobSource)
	// Reopen gives another Runtime over the same state.
	Reopen func(t *testing.T) runtime.Runtime
}

// Case is one sentence that holds for every runtime. Run may be called inside a
// testing/synctest bubble when the harness can be.
type Case struct {
	Name string
	Run  func(t *testing.T, h Harness)
}

// Conform runs every case.
func Conform(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, newHarness(t)) })
	}
}

// taskNumber keeps the IDs of one process apart.
var taskNumber atomic.Int64

// start starts a task that is removed with the test.
func (h Harness) start(t *testing.T, spec runtime.Spec, script ...string) string {
	t.Helper()
	if spec.ID == "" {
		spec.ID = fmt.Sprintf("conform-%d", taskNumber.Add(1))
	}
	spec.Image = h.Image
	if len(script) > 0 {
		spec.Command = h.Command(script)
	}
	if err := h.Runtime.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Runtime.Remove(context.WithoutCancel(t.Context()), spec.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return spec.ID
}

func (h Harness) wait(t *testing.T, id string) runtime.Exit {
	t.Helper()
	exit, err := h.Runtime.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if exit.Started.IsZero() || exit.Ended.Before(exit.Started) {
		t.Errorf("task ran from %v to %v", exit.Started, exit.Ended)
	}
	return exit
}

// read reads an output to its end.
func (h Harness) read(t *testing.T, id string, s runtime.Stream, offset int64, follow bool) string {
	t.Helper()
	r, err := h.Runtime.Output(t.Context(), id, s, offset, follow)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ready waits until a task has printed something.
func (h Harness) ready(t *testing.T, id string) {
	t.Helper()
	r, err := h.Runtime.Output(t.Context(), id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatalf("task said nothing: %v", err)
	}
}

func (h Harness) state(t *testing.T, id string) runtime.State {
	t.Helper()
	s, err := h.Runtime.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// Cases are the whole suite.
func Cases() []Case {
	return []Case{
		{"the exit code arrives", exitCodes},
		{"a program that is missing exits with 127 and one that cannot be executed with 126", notStarted},
		{"the two outputs are kept apart and can be read from an offset", outputs},
		{"a followed output ends when the task does", follows},
		{"a followed output ends when its reader goes away", unfollows},
		{"a task that handles SIGTERM ends as it wishes", stopHandled},
		{"a task that ignores SIGTERM is killed after grace", stopIgnored},
		{"stopping an ended task is no error", stopEnded},
		{"a paused task does nothing until it is resumed", pauses},
		{"a paused task can be stopped", stopPaused},
		{"mounts carry files in and out and respect read-only", mounts},
		{"environment reaches the task", environment},
		{"an ID is taken until its task is removed", ids},
		{"what is not there is not found", notFound},
		{"removing twice is no error and leaves nothing", removes},
		{"two can wait for one task", waitTwice},
		{"a reopened runtime sees tasks with exit and output", reopens},
		{"an image that was not pulled cannot be started", notPulled},
		{"a pull that was cut off goes on where it stopped", resumesPull},
		{"a blob with the wrong digest is refused", wrongDigest},
	}
}

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

func mounts(t *testing.T, h Harness) {
	in, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := []runtime.Mount{{Source: in, Target: "/in", ReadOnly: true}, {Source: out, Target: "/out"}}
	id := h.start(t, runtime.Spec{Mounts: both}, "copy /in/file /out/copied", "copy /in/file /in/again")
	equal(t, "code", h.wait(t, id).Code, 1)
	b, err := os.ReadFile(filepath.Join(out, "copied"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "copied", string(b), "content")
	if _, err := os.Stat(filepath.Join(in, "again")); err == nil {
		t.Error("a read-only mount was written to")
	}
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

func notPulled(t *testing.T, h Harness) {
	image, _ := h.NewImage(t)
	err := h.Runtime.Start(t.Context(), runtime.Spec{ID: "not-pulled", Image: image, Command: h.Command([]string{"exit 0"})})
	is(t, err, runtime.ErrImage)
	_, err = h.Runtime.Status(t.Context(), "not-pulled")
	is(t, err, runtime.ErrNotFound)
}

func resumesPull(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	var total int64
	whole := func(done, of int64) {
		if done > of {
			t.Errorf("progress %d of %d", done, of)
		}
		total = of
	}
	cut := &meter{src: blobs, left: image.Size + 2000}
	if err := h.Runtime.Pull(t.Context(), image, cut, whole); !errors.Is(err, errCut) {
		t.Fatalf("pull with a cut: %v", err)
	}
	h.Runtime = h.Reopen(t)
	rest := &meter{src: blobs, left: 1 << 40}
	if err := h.Runtime.Pull(t.Context(), image, rest, whole); err != nil {
		t.Fatal(err)
	}
	if cut.served == 0 || cut.served+rest.served > total+image.Size {
		t.Errorf("fetched %d and then %d bytes of %d", cut.served, rest.served, total)
	}
	again := &meter{src: blobs}
	if err := h.Runtime.Pull(t.Context(), image, again, nil); err != nil {
		t.Errorf("pull of what is here: %v", err)
	}
	equal(t, "bytes of the third pull", again.served, 0)
}

func wrongDigest(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	is(t, h.Runtime.Pull(t.Context(), image, liar{blobs, image.Digest}, nil), runtime.ErrImage)
	if err := h.Runtime.Pull(t.Context(), image, blobs, nil); err != nil {
		t.Errorf("an honest source afterwards: %v", err)
	}
}

var errCut = errors.New("cut")

// meter counts what it serves and fails after so many bytes.
type meter struct {
	src          runtime.BlobSource
	left, served int64
}

func (m *meter) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	r, err := m.src.Blob(ctx, digest, offset)
	if err != nil {
		return nil, err
	}
	return &metered{r, m}, nil
}

type metered struct {
	io.ReadCloser
	m *meter
}

func (r *metered) Read(p []byte) (int, error) {
	if r.m.left <= 0 {
		return 0, errCut
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.m.left)])
	r.m.left -= int64(n)
	r.m.served += int64(n)
	return n, err
}

// liar changes every byte of all blobs but the first.
type liar struct {
	src    runtime.BlobSource
	honest string
}

func (l liar) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	r, err := l.src.Blob(ctx, digest, offset)
	if err != nil || digest == l.honest {
		return r, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(strings.Repeat("x", len(b)))), nil
}
