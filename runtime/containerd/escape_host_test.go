//go:build linux

package containerd

import (
	"archive/tar"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// hostAttempt is one that takes a task of its own, or whose success is seen from the host
// alone. It is made twice: with its protection off and on.
type hostAttempt struct {
	name      string
	by        protection
	succeeded func(t *testing.T, f *fixture, id string, off []protection) bool
}

// Protections that only these attempts are about.
const (
	initLast     protection = "init-mounted-last"
	unpackInRoot protection = "unpack-within-root"
)

var hostAttempts = []hostAttempt{
	{"hog-cpu", cpuLimit, hogs},
	{"setuid-root-file-on-host", userNamespace, leavesRootsFile},
	{"cover-init", initLast, func(t *testing.T, f *fixture, id string, off []protection) bool {
		return f.covers(t, id, "/.rigmesh", off)
	}},
	{"cover-record", initLast, func(t *testing.T, f *fixture, id string, off []protection) bool {
		return f.covers(t, id, record.DirPath, off)
	}},
	{"replace-record-folder", separateInit, replacesRecord},
	{"layer-path-upwards", unpackInRoot, unpacks(func(victim string) []entry {
		return []entry{regular(strings.Repeat("../", 40) + victim[1:] + "/planted")}
	})},
	{"layer-absolute-path", unpackInRoot, unpacks(func(victim string) []entry {
		return []entry{regular(victim + "/planted")}
	})},
	{"layer-through-symlink", unpackInRoot, unpacks(func(victim string) []entry {
		return []entry{link("way", victim, tar.TypeSymlink), regular("way/planted")}
	})},
	{"layer-hardlink-to-host", unpackInRoot, unpacks(func(victim string) []entry {
		return []entry{link("linked", strings.Repeat("../", 40)+victim[1:]+"/kept", tar.TypeLink), regular("linked")}
	})},
	{"layer-deletes-on-host", unpackInRoot, unpacks(func(victim string) []entry {
		return []entry{link("way", victim, tar.TypeSymlink), regular("way/.wh.kept")}
	})},
}

// tryOnHost makes such attempts and counts them.
func (f *fixture) tryOnHost(t *testing.T, attempts []hostAttempt) (counted int) {
	for _, a := range attempts {
		verdict := map[bool]string{true: "ok", false: "denied"}
		unprotected := verdict[a.succeeded(t, f, a.name+"-off", []protection{a.by})]
		protected := verdict[a.succeeded(t, f, a.name, nil)]
		line(t, a.name, unprotected, protected, []protection{a.by})
		if unprotected != "ok" || protected != "denied" {
			t.Errorf("%s: unprotected %s, protected %s", a.name, unprotected, protected)
			continue
		}
		counted++
	}
	return counted
}

func (f *fixture) loosened(id string, off []protection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lack[id] = off
}

// hogs burns a second within a limit so low that a busy host gives more.
func hogs(t *testing.T, f *fixture, id string, off []protection) bool {
	f.loosened(id, off)
	spec := runtime.Spec{ID: id, Image: f.image, Command: []string{"/evil/probe", "one", "hog-cpu"}, Limits: runtime.Limits{CPUMillis: 50}}
	if err := f.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	exit := f.end(t, id)
	if out := f.output(t, id, runtime.Stdout); exit.Code != 0 && !strings.HasPrefix(out, "held up") {
		t.Errorf("exit %+v: %s", exit, out)
	}
	if err := f.Remove(t.Context(), id); err != nil {
		t.Error(err)
	}
	return exit.Code == 0
}

// leavesRootsFile makes a setuid file and looks whose it is on disk.
func leavesRootsFile(t *testing.T, f *fixture, id string, off []protection) bool {
	f.loosened(id, off)
	f.shell(t, runtime.Spec{ID: id}, "cp /bin/busybox /world/"+id+" && chmod 4755 /world/"+id)
	if exit := f.end(t, id); exit.Code != 0 {
		t.Errorf("exit %+v: %s", exit, f.output(t, id, runtime.Stderr))
	}
	made, err := filepath.Glob(filepath.Join(f.paths.mount(id, diskMount), rootMount, "upper/world", id))
	if err != nil || len(made) != 1 {
		t.Fatalf("found %v, %v", made, err)
	}
	fi, err := os.Stat(made[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(t.Context(), id); err != nil {
		t.Error(err)
	}
	return fi.Sys().(*syscall.Stat_t).Uid < defaultUIDBase
}

// covers has the image lead the task's own mount over a place of the init.
func (f *fixture) covers(t *testing.T, id, place string, off []protection) bool {
	dir := t.TempDir()
	tree, own := filepath.Join(dir, "tree"), filepath.Join(dir, "own")
	program, err := os.ReadFile(f.probe)
	err = errors.Join(err, ociimage.BusyboxTree(tree), os.Mkdir(own, 0o755),
		os.WriteFile(filepath.Join(own, "init"), program, 0o755), os.Chmod(dir, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "image.tar")
	layers := []ociimage.Layer{ociimage.Tree(tree, 0), tarOf(link("data", place, tar.TypeSymlink))}
	if err := ociimage.FromLayers(archive, ociimage.Options{}, layers...); err != nil {
		t.Fatal(err)
	}
	f.loosened(id, off)
	spec := runtime.Spec{ID: id, Image: pullArchive(t, f.Runtime, archive), Mounts: []runtime.Mount{{Source: own, Target: "/data"}}}
	exit, _ := f.run(t, spec, "exit 7")
	return exit.Code != 7
}

// replacesRecord puts a folder of its own where the record belongs. Of what containerd says of
// such a task 2 may be the init's own failure, so that without a record the code is lost.
func replacesRecord(t *testing.T, f *fixture, id string, off []protection) bool {
	f.loosened(id, off)
	f.shell(t, runtime.Spec{ID: id, Entrypoint: []string{"/bin/env"}}, "mv /.rigmesh /elsewhere && mkdir -p /.rigmesh/rec && exit 2")
	exit := f.end(t, id)
	_ = f.Remove(t.Context(), id)
	return exit.Code != 2
}

// initBeforeTheRest is the order of mounts in which a task's own could cover the init's.
func initBeforeTheRest(mounts []specs.Mount) {
	slices.SortStableFunc(mounts, func(a, b specs.Mount) int { return order(a) - order(b) })
}

func order(m specs.Mount) int {
	switch m.Destination {
	case record.InitPath, record.DirPath:
		return 1
	case "/data":
		return 2
	}
	return 0
}

func regular(name string) entry {
	return entry{tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}, []byte("planted\n")}
}

func link(name, to string, kind byte) entry {
	return entry{tar.Header{Name: name, Linkname: to, Mode: 0o777, Typeflag: kind}, nil}
}

// unpacks pulls an image whose layer aims at a folder of the host. Unprotected is the
// unpacking that one would write first.
func unpacks(layer func(victim string) []entry) func(*testing.T, *fixture, string, []protection) bool {
	return func(t *testing.T, f *fixture, _ string, off []protection) bool {
		dir := t.TempDir()
		victim, tree := filepath.Join(dir, "victim"), filepath.Join(dir, "tree")
		kept := filepath.Join(victim, "kept")
		err := errors.Join(os.Mkdir(victim, 0o755), os.WriteFile(kept, []byte("kept\n"), 0o644), os.Mkdir(tree, 0o755))
		if err != nil {
			t.Fatal(err)
		}
		if off != nil {
			unpackNaively(t, tree, layer(victim))
		} else {
			f.pullLayer(t, filepath.Join(dir, "image.tar"), layer(victim))
		}
		b, err := os.ReadFile(kept)
		entries, derr := os.ReadDir(victim)
		return err != nil || derr != nil || string(b) != "kept\n" || len(entries) != 1
	}
}

// pullLayer pulls an image with such a layer on top; to refuse it is fine.
func (f *fixture) pullLayer(t *testing.T, file string, entries []entry) {
	tree := filepath.Join(filepath.Dir(file), "busybox")
	if err := ociimage.BusyboxTree(tree); err != nil {
		t.Fatal(err)
	}
	if err := ociimage.FromLayers(file, ociimage.Options{}, ociimage.Tree(tree, 0), tarOf(entries...)); err != nil {
		t.Fatal(err)
	}
	archive := openArchive(t, file)
	if err := f.Pull(t.Context(), archive.Image(), archive, nil); err != nil && !errors.Is(err, runtime.ErrImage) {
		t.Errorf("neither pulled nor refused: %v", err)
	}
}

func unpackNaively(t *testing.T, root string, entries []entry) {
	at := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(root, name)
	}
	for _, e := range entries {
		var err error
		dir, base := path.Split(e.Name)
		deleted, deletes := strings.CutPrefix(base, ".wh.")
		switch {
		case deletes:
			err = os.Remove(at(dir + deleted))
		case e.Typeflag == tar.TypeSymlink:
			err = os.Symlink(e.Linkname, at(e.Name))
		case e.Typeflag == tar.TypeLink:
			err = os.Link(at(e.Linkname), at(e.Name))
		default:
			err = os.WriteFile(at(e.Name), e.content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
