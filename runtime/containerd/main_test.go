//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/assets"
	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
	"github.com/rigmesh/rigmesh/runtime/ociarchive"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// TestMain makes this binary serve as the containerd child too, so that the tests need no
// other.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == daemon.Subcommand {
		if err := daemon.Main(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// host is one open runtime with a busybox image pulled.
type host struct {
	*Runtime
	image runtime.Image
}

// open opens a runtime in a folder of its own. When the test ends nothing of it may be
// left on this machine.
func open(t testing.TB) host {
	t.Helper()
	return openAfter(t, func(string) error { return nil })
}

// openAfter is open after something was done to its folder.
func openAfter(t testing.TB, do func(dir string) error) host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("running tasks needs root")
	}
	if err := assets.Check(); err != nil {
		t.Skipf("%v (make helpers is enough)", err)
	}
	dir, err := os.MkdirTemp("", "rigmesh-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := do(dir); err != nil {
		t.Fatal(err)
	}
	r := reopen(t, dir)
	t.Cleanup(func() { vanish(t, r) })
	h := host{Runtime: r}
	h.image = pullBusybox(t, r, dir)
	return h
}

// reopen makes another Runtime over a data folder.
func reopen(t testing.TB, dir string) *Runtime {
	t.Helper()
	prefix := strings.NewReplacer("-", "", "rigmesh", "", "test", "t").Replace(filepath.Base(dir))
	r, err := New(Config{DataDir: dir, Prefix: prefix, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.Open(t.Context()); err != nil {
		log, _ := os.ReadFile(r.paths.log)
		t.Fatalf("%v\n%s", err, log)
	}
	return r
}

func pullBusybox(t testing.TB, r *Runtime, dir string) runtime.Image {
	t.Helper()
	path := filepath.Join(dir, "busybox.tar")
	if err := ociimage.Busybox(path); err != nil {
		t.Fatal(err)
	}
	return pullArchive(t, r, path)
}

func pullArchive(t testing.TB, r *Runtime, path string) runtime.Image {
	t.Helper()
	archive := openArchive(t, path)
	if err := r.Pull(t.Context(), archive.Image(), archive, nil); err != nil {
		t.Fatal(err)
	}
	return archive.Image()
}

func openArchive(t testing.TB, path string) *ociarchive.Archive {
	t.Helper()
	archive, err := ociarchive.Open(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = archive.Close() })
	return archive
}

// vanish removes every task, ends the daemon, and fails the test for what is left.
func vanish(t testing.TB, r *Runtime) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if entries, err := os.ReadDir(r.paths.tasks); err == nil {
		for _, e := range entries {
			if err := r.Remove(ctx, e.Name()); err != nil {
				t.Error(err)
			}
		}
	}
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for _, left := range leftovers(r) {
		t.Errorf("left behind: %s", left)
	}
	if t.Failed() {
		log, _ := os.ReadFile(r.paths.log)
		t.Logf("the end of containerd's log:\n%s", log[max(0, len(log)-4000):])
	}
}

// leftovers are the traces of a runtime on this machine, outside its data folder.
func leftovers(r *Runtime) []string {
	left := r.traces()
	for _, root := range hierarchies() {
		if _, err := os.Stat(filepath.Join(root, r.namespace)); err == nil {
			left = append(left, filepath.Join(root, r.namespace))
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, r.paths.state) || strings.Contains(line, r.cfg.DataDir) {
			left = append(left, line)
		}
	}
	if _, err := os.Lstat(r.paths.state); err == nil {
		left = append(left, r.paths.state)
	}
	_ = eachClaim(func(path, task string) error {
		if filepath.Dir(task) == r.paths.tasks {
			left = append(left, path)
		}
		return nil
	})
	return left
}

// killDaemon is what a crash of containerd looks like.
func (h host) killDaemon(t testing.TB) {
	t.Helper()
	p, running, err := daemon.Running(h.paths.state)
	if err != nil || !running {
		t.Fatalf("no daemon to kill: %v", err)
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := awaitEnd(t.Context(), fd, time.Minute); err != nil {
		t.Fatal(err)
	}
}
