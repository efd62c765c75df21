package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func store(t testing.TB) *blob.Store {
	t.Helper()
	s, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// folder makes a folder: a value ending in "/" is a folder, "->x" a link to x,
// anything else a file's content.
func folder(t testing.TB, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, c := range content {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case c == "/":
			err = os.MkdirAll(path, 0o755)
		case strings.HasPrefix(c, "->"):
			err = os.Symlink(c[2:], path)
		default:
			err = os.WriteFile(path, []byte(c), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read is the inverse of folder, and does not follow links.
func read(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch d.Type() {
		case fs.ModeDir:
			out[name] = "/"
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			out[name] = "->" + target
			return err
		default:
			b, err := os.ReadFile(path)
			out[name] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pack(t testing.TB, dir string, s *blob.Store, opts tree.PackOptions) tree.Packed {
	t.Helper()
	p, err := tree.PackDir(t.Context(), dir, tree.ToStore(s), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var sample = map[string]string{
	"a": "/", "a/x": "one", "a-b": "two", "a/y": "", "empty": "/", "deep": "/", "deep/er": "/", "deep/er/z": "three",
	"link": "->a/x", "deep/up": "->../a", "dangling": "->nowhere", "ünïcode name": "four",
}

func TestAFolderComesBackAsItWas(t *testing.T) {
	dir, s := folder(t, sample), store(t)
	for name, mode := range map[string]os.FileMode{"a/x": 0o755 | os.ModeSetuid, "a-b": 0o600, "deep/er": 0o500} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	p := pack(t, dir, s, tree.PackOptions{})
	if p.Entries != len(sample) || p.Bytes != uint64(len("onetwothreefour")) {
		t.Errorf("packed %+v", p)
	}
	out := filepath.Join(t.TempDir(), "new", "out")
	if _, err := tree.Unpack(t.Context(), s, p.Manifest, out, tree.UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample, read(t, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]os.FileMode{"a/x": 0o755, "a-b": 0o600, "deep/er": os.ModeDir | 0o500} {
		info, err := os.Lstat(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestTheSameContentIsTheSameManifest(t *testing.T) {
	s := store(t)
	first := pack(t, folder(t, sample), s, tree.PackOptions{})
	again := pack(t, folder(t, sample), s, tree.PackOptions{})
	if first.Manifest != again.Manifest {
		t.Error("two manifests for one content")
	}
}

// counting is a sink that counts what is put.
type counting struct {
	tree.Sink
	puts *int
}

func (c counting) Put(ctx context.Context, d string, n int64, open func() (io.ReadCloser, error)) error {
	*c.puts++
	return c.Sink.Put(ctx, d, n, open)
}

func TestContentTheSinkHasIsNotPutAgain(t *testing.T) {
	dir, puts := folder(t, map[string]string{"a": "same", "b": "same", "c": "other"}), 0
	sink := counting{tree.ToStore(store(t)), &puts}
	for range 2 {
		if _, err := tree.PackDir(t.Context(), dir, sink, tree.PackOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if puts != 3 { // two files and the manifest
		t.Errorf("%d puts, want 3", puts)
	}
}

func TestOddFilesAreRefusedInInputsAndListedInOutputs(t *testing.T) {
	dir := folder(t, map[string]string{"good": "x", "sub": "/"})
	if err := syscall.Mkfifo(filepath.Join(dir, "sub", "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(filepath.Join(dir, "bad\xff"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = tree.PackDir(t.Context(), dir, tree.ToStore(store(t)), tree.PackOptions{})
	if err == nil || !strings.Contains(err.Error(), `"`) {
		t.Errorf("got %v, want an error that names the file", err)
	}
	p := pack(t, dir, store(t), tree.PackOptions{SkipOdd: true})
	if p.Entries != 2 || p.Left != 3 || len(p.Skipped) != 3 {
		t.Errorf("packed %+v, want 2 entries and 3 skipped", p)
	}
}

func TestAPackedFolderIsBounded(t *testing.T) {
	dir := folder(t, map[string]string{"a": "123", "b": "456"})
	for name, limits := range map[string]tree.Limits{"entries": {Entries: 1}, "bytes": {Bytes: 5}} {
		_, err := tree.PackDir(t.Context(), dir, tree.ToStore(store(t)), tree.PackOptions{Limits: limits})
		if !errors.Is(err, tree.ErrTooMuch) {
			t.Errorf("%s: got %v, want ErrTooMuch", name, err)
		}
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if err := sparse.Truncate(1 << 40); err != nil {
		t.Skipf("the file system has no sparse files: %v", err)
	}
	_, err = tree.PackDir(t.Context(), dir, tree.ToStore(store(t)), tree.PackOptions{Limits: tree.Limits{Bytes: 1 << 20}})
	if !errors.Is(err, tree.ErrTooMuch) {
		t.Errorf("sparse file: got %v, want ErrTooMuch", err)
	}
}

func TestPackNeverLeavesItsFolder(t *testing.T) {
	secret := folder(t, map[string]string{"key": "the owner's"})
	volume := folder(t, map[string]string{"out": "->" + secret, "in/link": "->" + filepath.Join(secret, "key")})
	root, err := os.OpenRoot(volume)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if sub, err := root.OpenRoot("out"); err == nil {
		sub.Close()
		t.Error("the output folder may be a link to elsewhere")
	}
	s := store(t)
	p, err := tree.Pack(t.Context(), root, tree.ToStore(s), tree.PackOptions{SkipOdd: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.Bytes != 0 || s.Has(blob.Digest([]byte("the owner's"))) {
		t.Errorf("packed %+v, with content from outside", p)
	}
}

func manifest(t testing.TB, s *blob.Store, entries ...*marketv1.Entry) string {
	t.Helper()
	b, err := proto.Marshal(&marketv1.Manifest{Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := s.PutBytes(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func dir(path string) *marketv1.Entry {
	return &marketv1.Entry{Path: path, Mode: 0o755, Directory: true}
}
func link(path, to string) *marketv1.Entry { return &marketv1.Entry{Path: path, LinkTarget: to} }
func file(path, content string) *marketv1.Entry {
	return &marketv1.Entry{Path: path, Mode: 0o644, Digest: blob.Digest([]byte(content)), SizeBytes: uint64(len(content))}
}

func TestHostileManifestsAreRefusedBeforeAnythingIsMade(t *testing.T) {
	s := store(t)
	if _, err := s.PutBytes(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	with := func(e *marketv1.Entry, change func(*marketv1.Entry)) *marketv1.Entry { change(e); return e }
	many := make([]*marketv1.Entry, 100_001)
	for i := range many {
		many[i] = dir(fmt.Sprintf("%06d", i))
	}
	for name, entries := range map[string][]*marketv1.Entry{
		"parent":                   {file("../x", "x")},
		"parent inside":            {dir("a"), file("a/../../x", "x")},
		"absolute":                 {file("/etc/x", "x")},
		"dot":                      {dir(".")},
		"dot inside":               {dir("a"), file("a/./x", "x")},
		"empty":                    {file("", "x")},
		"slash at end":             {dir("a/")},
		"two slashes":              {dir("a"), file("a//x", "x")},
		"nul":                      {file("a\x00b", "x")},
		"long name":                {file(strings.Repeat("n", 256), "x")},
		"long path":                {file(strings.Repeat("n/", 2100)+"x", "x")},
		"twice":                    {file("x", "x"), file("x", "x")},
		"file and link":            {file("x", "x"), link("x", "/etc")},
		"unsorted":                 {file("y", "x"), file("x", "x")},
		"below a link":             {link("a", "/etc"), file("a/x", "x")},
		"below a file":             {file("a", "x"), file("a/x", "x")},
		"below nothing":            {file("a/x", "x")},
		"setuid":                   {with(file("x", "x"), func(e *marketv1.Entry) { e.Mode = 0o4755 })},
		"device bits":              {with(file("x", "x"), func(e *marketv1.Entry) { e.Mode = 0o60644 })},
		"file with target":         {with(file("x", "x"), func(e *marketv1.Entry) { e.LinkTarget = "y" })},
		"folder with digest":       {with(file("x", "x"), func(e *marketv1.Entry) { e.Directory = true })},
		"link with size":           {with(link("x", "y"), func(e *marketv1.Entry) { e.SizeBytes = 1 })},
		"nothing":                  {{Path: "x"}},
		"bad digest":               {with(file("x", "x"), func(e *marketv1.Entry) { e.Digest = "sha256:../../etc" })},
		"nul in target":            {link("x", "a\x00b")},
		"too many":                 many,
		"too large":                {with(file("x", "x"), func(e *marketv1.Entry) { e.SizeBytes = 1 << 41 })},
		"sizes that wrap to small": {with(file("x", "x"), func(e *marketv1.Entry) { e.SizeBytes = 1<<64 - 1 }), with(file("y", "x"), func(e *marketv1.Entry) { e.SizeBytes = 2 })},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			_, err := tree.Unpack(t.Context(), s, manifest(t, s, entries...), out, tree.UnpackOptions{OutsideLinks: true})
			if !errors.Is(err, tree.ErrManifest) && !errors.Is(err, tree.ErrTooMuch) {
				t.Errorf("got %v, want ErrManifest or ErrTooMuch", err)
			}
			if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
				t.Error("the folder was made")
			}
		})
	}
}

func TestAFileMustBeAsTheManifestSays(t *testing.T) {
	s := store(t)
	if _, err := s.PutBytes(t.Context(), []byte("xyz")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		size uint64
		want error
	}{"shorter": {5, tree.ErrManifest}, "longer": {1, blob.ErrTooLarge}, "by one": {2, tree.ErrManifest}} {
		e := file("f", "xyz")
		e.SizeBytes = c.size
		_, err := tree.Unpack(t.Context(), s, manifest(t, s, e), t.TempDir(), tree.UnpackOptions{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	_, err := tree.Unpack(t.Context(), s, manifest(t, s, file("f", "not here")), t.TempDir(), tree.UnpackOptions{})
	if !errors.Is(err, blob.ErrUnknown) {
		t.Errorf("missing: got %v, want ErrUnknown", err)
	}
}

func TestLinksThatLeadOutAreLeftOutUnlessAskedFor(t *testing.T) {
	s := store(t)
	m := manifest(t, s, dir("a"), dir("a/b"), link("a/b/in", "../../a"), link("a/b/jump", "in/../../x"),
		link("a/b/out", "../../../x"), link("abs", "/etc/passwd"), link("self", "."), link("up", ".."))
	out := filepath.Join(t.TempDir(), "out")
	got, err := tree.Unpack(t.Context(), s, m, out, tree.UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": "/", "a/b": "/", "a/b/in": "->../../a", "self": "->."}
	if diff := cmp.Diff(want, read(t, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Left != 4 || len(got.Skipped) != 4 {
		t.Errorf("%+v, want 4 left out", got)
	}
	if _, err := tree.Unpack(t.Context(), s, m, t.TempDir(), tree.UnpackOptions{OutsideLinks: true}); err != nil {
		t.Error(err)
	}
}

func TestUnpackWantsAnEmptyFolder(t *testing.T) {
	s := store(t)
	full := folder(t, map[string]string{"mine": "x"})
	if _, err := tree.Unpack(t.Context(), s, manifest(t, s), full, tree.UnpackOptions{}); !errors.Is(err, tree.ErrNotEmpty) {
		t.Errorf("got %v, want ErrNotEmpty", err)
	}
}

// FuzzManifest: whatever the manifest, nothing appears outside the folder.
func FuzzManifest(f *testing.F) {
	b, err := proto.Marshal(&marketv1.Manifest{Entries: []*marketv1.Entry{dir("a"), link("a/l", ".."), file("a/x", "x")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m marketv1.Manifest
		if proto.Unmarshal(b, &m) != nil || tree.Check(&m, tree.Limits{Entries: 100}) != nil {
			return
		}
		s, parent := store(t), t.TempDir()
		if _, err := s.PutBytes(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		digest, err := s.PutBytes(t.Context(), bytes.Clone(b))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = tree.Unpack(t.Context(), s, digest, filepath.Join(parent, "out"), tree.UnpackOptions{})
		if names, _ := os.ReadDir(parent); len(names) != 1 {
			t.Errorf("beside the folder: %v", names)
		}
	})
}
