//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

// debians starts the containerd that Debian packages, with its shim and its runc, in
// folders of its own, and gives its socket.
func debians(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("running tasks needs root")
	}
	const program = "/usr/bin/containerd"
	if _, err := os.Stat(program); err != nil {
		t.Skip("Debian's containerd is not installed: make packages")
	}
	dir, err := os.MkdirTemp("/run", "rigmesh-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	root := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	text := "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "c.sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "--config", config, "--root", root, "--state", dir, "--address", socket)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if b, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("the end of containerd's log:\n%s", b[max(0, len(b)-4000):])
		}
	})
	return socket
}

// openOn opens a runtime on the system's containerd.
func openOn(t *testing.T, dir, socket string) *Runtime {
	t.Helper()
	r, err := New(Config{DataDir: dir, Prefix: "debian" + fmt.Sprint(os.Getpid()), Socket: socket, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDebiansContainerdConforms(t *testing.T) {
	socket := debians(t)
	dir, err := os.MkdirTemp("", "rigmesh-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := openOn(t, dir, socket)
	t.Cleanup(func() { vanish(t, r) })
	h := host{Runtime: r}
	h.image = pullBusybox(t, r, dir)
	runtimetest.Conform(t, func(*testing.T) runtimetest.Harness {
		return runtimetest.Harness{
			Runtime: r, Image: h.image, Command: runtimetest.Shell,
			NotExecutable: []string{"/bin/not-executable"}, NewImage: newImage,
			Reopen: func(t *testing.T) runtime.Runtime { return openOn(t, dir, socket) },
		}
	})
}

func TestASystemsContainerdThatIsAwayIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("running tasks needs root")
	}
	socket := filepath.Join(t.TempDir(), "nobody.sock")
	r, err := New(Config{DataDir: t.TempDir(), Prefix: "nobody", Socket: socket, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := r.Open(ctx); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("open: %v", err)
	}
}
