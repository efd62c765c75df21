//go:build linux

package containerd

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// hostileTasks do what they can to their host and end with a code of their own, which is
// to arrive.
var hostileTasks = []struct {
	name, line string
	code       int
	oom        bool
}{
	{"fork-bomb", "sleep 2 & p=$!; (while :; do (while :; do sleep 100 & done) & done) 2>/dev/null & wait $p; exit 9", 9, false},
	{"fork-and-end", "while :; do sleep 100 & done", 2, false}, // what the shell says when it cannot fork
	{"full-and-loud", "(while :; do sleep 100 & done) 2>/dev/null; while [ $((i+=1)) -lt 20000 ]; do echo $i; echo $i >&2; kill -CONT $$; done; exit 9", 9, false},
	// Many times its limit of processes, and few enough: a busy kernel frees what it had for them late.
	{"zombies", "for i in $(seq 300); do (true &); done; exit 9", 9, false},
	{"memory", "exec tail /dev/zero", 137, true},
	{"memory-in-files", "while :; do dd if=/dev/zero of=/tmp/$((i+=1)) bs=1M count=8 2>/dev/null || break; done; tail /dev/zero; exit 9", 9, true},
	{"fill-disk", "dd if=/dev/zero of=/filler bs=1M 2>/dev/null; exit 9", 9, false},
	{"fill-inodes", "i=0; while : >/$((i+=1)); do :; done 2>/dev/null; exit 9", 1, false}, // what the shell says when it cannot write
	{"log-flood", "dd if=/dev/zero bs=1M count=512 2>/dev/null; exit 9", 9, false},
	{"log-flood-both", "yes >&2 & dd if=/dev/zero bs=1M count=256 2>/dev/null; exit 9", 9, false},
	{"deaf", "trap '' TERM INT HUP; (trap '' TERM; sleep 1000) & kill -STOP $!; exit 9", 9, false},
	{"signals", "i=0; while [ $((i+=1)) -lt 2000 ]; do kill -CHLD 1 $$ 2>/dev/null; done; exit 9", 9, false},
}

func TestHostileTasksHarmNobodyElse(t *testing.T) {
	h := open(t)
	h.cfg.OutputBytes = 1 << 20
	release := h.gated(t, "neighbour", 7)
	before := heap()
	t.Run("together", func(t *testing.T) {
		for _, c := range hostileTasks {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				spec := runtime.Spec{ID: c.name, Limits: runtime.Limits{MemoryBytes: 64 << 20, DiskBytes: 64 << 20, Pids: 40}}
				h.shell(t, spec, c.line)
				exit := h.end(t, c.name)
				if exit.Code != c.code || exit.OOM != c.oom || exit.Error != "" {
					t.Errorf("exit %+v", exit)
				}
				for _, s := range []runtime.Stream{runtime.Stdout, runtime.Stderr} {
					if n := len(h.output(t, c.name, s)); n > 1<<20+100 {
						t.Errorf("%d bytes of output are kept", n)
					}
				}
			})
		}
	})
	release()
	if exit := h.end(t, "neighbour"); exit.Code != 7 || exit.Error != "" {
		t.Errorf("neighbour: %+v", exit)
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("this process has grown by %d bytes", grown)
	}
	if rss := h.daemonMemory(t); rss > 150<<20 {
		t.Errorf("containerd has %d bytes", rss)
	}
}

func heap() int64 {
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// daemonMemory is what the containerd child has resident, in bytes.
func (h host) daemonMemory(t *testing.T) int64 {
	t.Helper()
	p, running, err := daemon.Running(h.paths.state)
	if err != nil || !running {
		t.Fatalf("no daemon: %v", err)
	}
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "statm"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// What an image says is read by the node itself, as root.
func TestImagesMadeToFoolTheNodeAreRefused(t *testing.T) {
	h := open(t)
	for name, layer := range map[string][]entry{
		"a pipe for a list of users":   {{tar.Header{Name: "etc/passwd", Mode: 0o644, Typeflag: tar.TypeFifo}, nil}},
		"a device for a list of users": {{tar.Header{Name: "etc/passwd", Mode: 0o644, Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}, nil}},
		"the host's list of users":     {link("etc/passwd", strings.Repeat("../", 40)+"etc/passwd", tar.TypeSymlink)},
		"a pipe for a list of groups":  {{tar.Header{Name: "etc/group", Mode: 0o644, Typeflag: tar.TypeFifo}, nil}},
		"a pipe behind a link": {link("etc/passwd", "pipe", tar.TypeSymlink),
			{tar.Header{Name: "etc/pipe", Mode: 0o644, Typeflag: tar.TypeFifo}, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			err := h.Start(ctx, runtime.Spec{ID: "task", Image: h.with(t, layer), User: "worker:video", Command: []string{"true"}})
			if !errors.Is(err, runtime.ErrImage) {
				t.Errorf("start: %v", err)
			}
			if err == nil {
				_ = h.Remove(t.Context(), "task")
			}
		})
	}
	for _, dir := range []string{"/proc/self/fd/7", "/proc/self/fd/8", "/proc/self/fd/9", "/proc/1/root"} {
		spec := runtime.Spec{ID: "task", Image: h.image, Workdir: dir, Command: []string{"sh", "-c", "cat ../../../../../../etc/shadow"}}
		if err := h.Start(t.Context(), spec); err != nil {
			continue // refused at once
		}
		if exit, out := h.end(t, "task"), h.output(t, "task", runtime.Stdout); exit.Code == 0 || out != "" {
			t.Errorf("in %s: exit %+v, it read %q", dir, exit, out)
		}
		_ = h.Remove(t.Context(), "task")
	}
}

// with is busybox with a layer on top.
func (h host) with(t *testing.T, layer []entry) runtime.Image {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := ociimage.BusyboxTree(tree); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "image.tar")
	if err := ociimage.FromLayers(path, ociimage.Options{}, ociimage.Tree(tree, 0), tarOf(layer...)); err != nil {
		t.Fatal(err)
	}
	return pullArchive(t, h.Runtime, path)
}

// What a task watches counts as this host's root's: the kernel charges whoever made its users.
func TestATaskThatTakesEveryWatchIsStoppedAndSilencesNobody(t *testing.T) {
	f := newFixture(t)
	release := f.gated(t, "neighbour", 7)
	hoarder := runtime.Spec{ID: "hoarder", Image: f.image, Command: []string{"/evil/probe", "hoard"}}
	if err := f.Start(t.Context(), hoarder); err != nil {
		t.Fatal(err)
	}
	r, err := f.Output(t.Context(), "hoarder", runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	if taken, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatalf("it took %q: %v", taken, err)
	}
	release()
	if out := f.output(t, "neighbour", runtime.Stdout); out != "before\nafter\n" {
		t.Errorf("the neighbour was heard to say %q", out)
	}
	if err := f.Warn(t.Context(), "hoarder"); err != nil {
		t.Error(err)
	}
	if err := f.Stop(t.Context(), "hoarder", 0); err != nil {
		t.Fatal(err)
	}
	if exit := f.end(t, "hoarder"); !exit.Killed {
		t.Errorf("exit %+v", exit)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
