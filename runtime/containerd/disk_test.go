//go:build linux

package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

func TestDisksComeInFewSizes(t *testing.T) {
	for bytes, want := range map[uint64]int64{1: 32 << 20, 16 << 20: 32 << 20, 100 << 20: 112 << 20} {
		if got := diskSize(bytes, 0); got != want {
			t.Errorf("for %d bytes a file of %d, want %d", bytes, got, want)
		}
	}
	for room, least := range map[int64]int64{1 << 40: defaultDiskBytes, 20 << 30: 2 << 30, 0: smallDiskBytes} {
		if got := diskSize(0, room); got < least || got > least+least/16 {
			t.Errorf("with %d bytes of room a file of %d, want little more than %d", room, got, least)
		}
	}
}

func TestSparseFilesStaySparse(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("in the middle"), 1<<20)
	if err := errors.Join(err, f.Truncate(64<<20), f.Close(), copySparse(to, from)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(to)
	if err != nil || len(b) != 64<<20 || string(b[1<<20:1<<20+13]) != "in the middle" {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestATaskFillsItsOwnDiskAndNoMore(t *testing.T) {
	h := open(t)
	limits := runtime.Limits{DiskBytes: 32 << 20}
	in := t.TempDir()
	for where, line := range map[string]string{
		"root":    "dd if=/dev/zero of=/filler bs=1M count=200",
		"output":  "dd if=/dev/zero of=/out/filler bs=1M count=200",
		"private": "dd if=/dev/zero of=/in/filler bs=1M count=200",
		"files":   "i=0; while [ $((i+=1)) -lt 5000 ]; do : >/out/$i || exit 1; done",
	} {
		t.Run(where, func(t *testing.T) {
			spec := runtime.Spec{Limits: limits, Mounts: []runtime.Mount{{Target: "/out"}, {Source: in, Target: "/in", Private: true}}}
			exit, _ := h.run(t, spec, line+" 2>/dev/null; exit $?")
			if exit.Code == 0 || !exit.Full {
				t.Errorf("exit %+v", exit)
			}
		})
	}
	if exit, out := h.run(t, runtime.Spec{Limits: limits}, "df -k / | awk 'NR>1{print $2}'"); exit.Code != 0 || exit.Full {
		t.Errorf("exit %+v, %s", exit, out)
	}
	if exit, _ := h.run(t, runtime.Spec{Limits: limits}, "exit 3"); exit.Code != 3 || exit.Full {
		t.Errorf("a disk with room: %+v", exit)
	}
}

// At once: a node that ends or starts would sweep what was forgotten, and a node may run for months.
func TestARemovedTaskLeavesNothingMounted(t *testing.T) {
	h := open(t)
	mounted := func(id string) int {
		table, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(table), h.paths.mounts(id))
	}
	id := h.shell(t, runtime.Spec{Limits: runtime.Limits{DiskBytes: 32 << 20}, Mounts: []runtime.Mount{{Target: "/out"}}}, "true")
	h.end(t, id)
	if mounted(id) == 0 {
		t.Error("an ended task has no disk to collect from")
	}
	if err := h.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if n := mounted(id); n != 0 {
		t.Errorf("%d mounts of a removed task", n)
	}
}

func TestADiskThatCannotFitIsRefused(t *testing.T) {
	h := open(t)
	err := h.Start(t.Context(), runtime.Spec{ID: "task", Image: h.image, Command: []string{"true"}, Limits: runtime.Limits{DiskBytes: 1 << 50}})
	if !errors.Is(err, runtime.ErrNoSpace) {
		t.Errorf("start: %v", err)
	}
}

func TestAReadOnlyRootLeavesTheImagesVolumesWritable(t *testing.T) {
	h := open(t)
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := ociimage.BusyboxTree(tree); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "image.tar")
	if err := ociimage.FromDir(path, tree, ociimage.Options{Volumes: []string{"/data/deep", "/etc"}}); err != nil {
		t.Fatal(err)
	}
	spec := runtime.Spec{Image: pullArchive(t, h.Runtime, path), ReadOnlyRoot: true, Mounts: []runtime.Mount{{Target: "/out"}}}
	_, out := h.run(t, spec, "for d in / /bin /data /data/deep /etc /tmp /dev/shm /out; do touch $d/x 2>/dev/null && echo $d; done; grep -c worker /etc/passwd")
	if want := "/data/deep\n/etc\n/tmp\n/dev/shm\n/out\n1\n"; out != want {
		t.Errorf("writable %q, want %q", out, want)
	}
	for _, bad := range []entry{link("data", "/etc", '2'), link("data", "../../../../etc", '2')} {
		o := ociimage.Options{Volumes: []string{"/data/new"}}
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := ociimage.FromLayers(path, o, ociimage.Tree(tree, 0), tarOf(bad)); err != nil {
			t.Fatal(err)
		}
		spec := runtime.Spec{ID: "task", Image: pullArchive(t, h.Runtime, path), ReadOnlyRoot: true, Command: []string{"true"}}
		if err := h.Start(t.Context(), spec); !errors.Is(err, runtime.ErrImage) || !strings.Contains(err.Error(), "volume") {
			t.Errorf("a volume behind a link: %v", err)
		}
	}
}
