//go:build linux

package containerd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

func TestEntrypointAndCommandCombineAsWithDocker(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"entry"}, Cmd: []string{"default"}}
	for _, c := range []struct {
		spec runtime.Spec
		want string
	}{
		{runtime.Spec{}, "entry default"},
		{runtime.Spec{Command: []string{"own"}}, "entry own"},
		{runtime.Spec{Entrypoint: []string{"other"}}, "other"},
		{runtime.Spec{Entrypoint: []string{"other"}, Command: []string{"own"}}, "other own"},
	} {
		job, workdir, _, err := jobOf(c.spec, image)
		if got := strings.Join(job.Args, " "); got != c.want || workdir != "/" || err != nil {
			t.Errorf("%+v runs %q in %q, %v; want %q", c.spec, got, workdir, err, c.want)
		}
	}
	if _, _, _, err := jobOf(runtime.Spec{}, ocispec.ImageConfig{}); !errors.Is(err, runtime.ErrImage) {
		t.Errorf("nothing to run: %v", err)
	}
}

func TestLaterEnvironmentWins(t *testing.T) {
	got := mergeEnv([]string{"A=1", "B=1"}, []string{"C=2", "A=2"}, []string{"B=3"})
	if diff := cmp.Diff([]string{"A=2", "B=3", "C=2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSpecProblemsAreNamedTogether(t *testing.T) {
	err := checkSpec(runtime.Spec{ID: "No", Mounts: []runtime.Mount{
		{Source: "relative", Target: "/x"}, {Source: "/x", Target: "/.rigmesh/rec"}, {Source: "/x", Target: "/"}}})
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("problems: %v", err)
	}
	for id, good := range map[string]bool{"a": true, "a-b1": true, "": false, "-a": false, "a--b": false, "../x": false, strings.Repeat("a", 65): false} {
		if err := checkSpec(runtime.Spec{ID: id}); (err == nil) != good {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestConfigProblemsAreNamedTogether(t *testing.T) {
	_, err := Config{DataDir: "relative", Prefix: "not ok", UIDBase: 5}.complete()
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("problems: %v", err)
	}
	c, err := Config{DataDir: "/x", Prefix: "abc", Log: slog.New(slog.DiscardHandler)}.complete()
	if err != nil || c.UIDBase == 0 || c.MaxImageBytes == 0 || c.OutputBytes == 0 || c.Executable == "" {
		t.Errorf("completed %+v, %v", c, err)
	}
}

func TestPoolOfUsersFitsWhatRuncTakes(t *testing.T) {
	if last := int64(defaultUIDBase) + poolRanges*rangeSize; last > 1<<31 {
		t.Errorf("the pool ends at %d", last)
	}
}

func TestWatchTellsOfChangesAndOfItsEnd(t *testing.T) {
	dir := t.TempDir()
	w, err := newWatch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Next(); err != nil {
		t.Error(err)
	}
	w.Interrupt()
	if w.Next() == nil {
		t.Error("a watch that was interrupted goes on")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestWithoutAWatchOfTheKernelsAClockTellsToLook(t *testing.T) {
	dir := t.TempDir()
	if _, err := clock(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a clock for what is not there: %v", err)
	}
	fd, err := clock(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{file: os.NewFile(uintptr(fd), "watch")}
	w.stop = context.AfterFunc(t.Context(), w.Interrupt)
	for range 2 {
		if err := w.Next(); err != nil {
			t.Error(err)
		}
	}
	w.Interrupt()
	if w.Next() == nil {
		t.Error("a clock that was interrupted goes on")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestLocksOfOneNameExcludeEachOther(t *testing.T) {
	var k keyedLocks
	unlock := k.lock("a")
	k.lock("b")()
	order := make(chan string, 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer k.lock("a")()
		order <- "second"
	}()
	order <- "first"
	unlock()
	<-done
	if got := <-order; got != "first" {
		t.Errorf("%s came first", got)
	}
	if k.locked("a") || len(k.locks) != 0 {
		t.Error("locks stay behind")
	}
}

func TestATaskFindsItsDriversLibrariesBeforeItsImages(t *testing.T) {
	const name = "LD_LIBRARY_PATH="
	lent := runtime.Devices{Env: []string{name + "/driver"}}
	for what, c := range map[string]struct {
		image []string
		spec  runtime.Spec
		want  string // empty: not set
	}{
		"no devices":           {[]string{name + "/image"}, runtime.Spec{}, ""},
		"the devices' alone":   {nil, runtime.Spec{Devices: lent}, "/driver"},
		"the image's behind":   {[]string{name + "/image:/more"}, runtime.Spec{Devices: lent}, "/driver:/image:/more"},
		"the spec's instead":   {[]string{name + "/image"}, runtime.Spec{Devices: lent, Env: []string{name + "/spec"}}, "/driver:/spec"},
		"the spec's, no cards": {[]string{name + "/image"}, runtime.Spec{Env: []string{name + "/spec"}}, "/spec"},
	} {
		c.spec.Command = []string{"true"}
		job, _, _, err := jobOf(c.spec, ocispec.ImageConfig{Env: append(c.image, "LD_PRELOAD=/x", "NVIDIA_VISIBLE_DEVICES=all")})
		if err != nil {
			t.Fatal(err)
		}
		if got := valueOf(job.Env, "LD_LIBRARY_PATH"); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
		if valueOf(job.Env, "LD_PRELOAD")+valueOf(job.Env, "NVIDIA_VISIBLE_DEVICES") != "" {
			t.Errorf("%s: %q", what, job.Env)
		}
	}
}

// Its shim is let go of under the lock of its ID, and that takes as long as starting it did.
func TestHowATaskEndedIsToldWhileItsShimIsLetGoOf(t *testing.T) {
	r, err := New(Config{DataDir: t.TempDir(), Prefix: "unit", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	want := final{Exit: runtime.Exit{Code: 7}}
	if err := errors.Join(os.MkdirAll(r.paths.task("task"), 0o700), record.Write(r.paths.task("task"), finalFile, want)); err != nil {
		t.Fatal(err)
	}
	defer r.ids.lock("task")()
	told := make(chan final, 1)
	go func() {
		f, err := r.settle(t.Context(), nil, "task")
		if err != nil {
			t.Error(err)
		}
		told <- f
	}()
	select {
	case f := <-told:
		if f != want {
			t.Errorf("it ended %+v", f)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the shim")
	}
}
