package carry

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var generous = Options{Bytes: 1 << 20, Entries: 100}

// entry is one entry of a stream that no honest packer wrote.
type entry struct {
	kind         byte
	name, target string
	content      string
}

func stream(t *testing.T, entries ...entry) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Linkname: e.target, Size: int64(len(e.content)), Mode: 0o6777}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// files are all names below a folder, with the content or the target of each.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case name == ".":
		case d.IsDir():
			found[name] = "folder"
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(path)
			found[name] = "-> " + target
		default:
			b, err := os.ReadFile(path)
			found[name] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o640)); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsPackedIsUnpackedAsCpWould(t *testing.T) {
	from := filepath.Join(t.TempDir(), "data")
	put(t, filepath.Join(from, "a"), "one")
	put(t, filepath.Join(from, "sub", "b"), "two")
	old := time.Unix(1_000_000_000, 0)
	if err := errors.Join(os.Symlink("sub/b", filepath.Join(from, "in")), os.Symlink("../../etc", filepath.Join(from, "sub", "out")),
		os.Symlink("data", from+"-link"), syscall.Mkfifo(filepath.Join(from, "pipe"), 0o600), os.Chtimes(filepath.Join(from, "a"), old, old)); err != nil {
		t.Fatal(err)
	}
	tree := map[string]string{"a": "one", "sub": "folder", "sub/b": "two", "in": "-> sub/b"}
	under := func(name string) map[string]string {
		all := map[string]string{name: "folder"}
		for path, content := range tree {
			all[filepath.Join(name, path)] = content
		}
		return all
	}
	for _, c := range []struct {
		name, from, dest, base string
		there                  []string // in the destination before
		want                   map[string]string
	}{
		{"a folder into a folder", from, ".", "data", nil, under("data")},
		{"a folder as a new one", from, "new", "data", nil, under("new")},
		{"a folder's content", from, ".", ".", nil, tree},
		{"a link to a folder", from + "-link", ".", "data-link", nil, under("data-link")},
		{"a file into a folder", filepath.Join(from, "a"), ".", "a", nil, map[string]string{"a": "one"}},
		{"a file as another", filepath.Join(from, "a"), "x", "a", nil, map[string]string{"x": "one"}},
		{"a file over another", filepath.Join(from, "a"), "x", "a", []string{"x"}, map[string]string{"x": "one"}},
	} {
		dir := t.TempDir()
		for _, name := range c.there {
			put(t, filepath.Join(dir, name), "before")
		}
		var b bytes.Buffer
		var left []string
		if err := Pack(&b, c.from, func(name string) { left = append(left, name) }); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		o := generous
		o.Skipped = func(name string) { left = append(left, name) }
		if err := Unpack(&b, filepath.Join(dir, c.dest), c.base, o); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, files(t, dir)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if len(c.want) > 1 && !cmp.Equal(left, []string{"pipe", "sub/out"}) {
			t.Errorf("%s: left out %q", c.name, left)
		}
		if fi, err := os.Stat(filepath.Join(dir, "a")); err == nil && (!fi.ModTime().Equal(old) || fi.Mode() != 0o640) {
			t.Errorf("%s: made %v, %v", c.name, fi.ModTime(), fi.Mode())
		}
	}
}

func TestAStreamCannotMakeWhatItMustNot(t *testing.T) {
	top := entry{kind: tar.TypeDir, name: "."}
	file := func(name string) entry { return entry{kind: tar.TypeReg, name: name, content: "evil"} }
	link := func(name, target string) entry { return entry{kind: tar.TypeSymlink, name: name, target: target} }
	for name, entries := range map[string][]entry{
		"a path up":                   {top, file("../evil")},
		"a path up and down":          {top, {kind: tar.TypeDir, name: "a"}, file("a/../../evil")},
		"an absolute path":            {top, file("/tmp/evil")},
		"through a link to outside":   {top, link("up", ".."), file("up/evil")},
		"through a link to the top":   {top, link("here", "."), file("here/evil")},
		"a folder in place of a link": {top, link("here", "."), {kind: tar.TypeDir, name: "here"}},
		"a folder nobody made":        {top, file("none/evil")},
		"a hard link":                 {top, {kind: tar.TypeLink, name: "hard", target: "/etc/passwd"}},
		"a device":                    {top, {kind: tar.TypeChar, name: "null"}},
		"a disk":                      {top, {kind: tar.TypeBlock, name: "disk"}},
		"a pipe":                      {top, {kind: tar.TypeFifo, name: "pipe"}},
		"no top":                      {file("evil")},
		"a link as the top":           {link(".", "/etc")},
		"a device as the top":         {{kind: tar.TypeChar, name: "."}},
	} {
		dir := t.TempDir()
		dest := filepath.Join(dir, "dest")
		if err := os.Mkdir(dest, 0o755); err != nil {
			t.Fatal(err)
		}
		err := Unpack(stream(t, entries...), dest, ".", generous)
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		for path, content := range files(t, dir) {
			if content == "evil" {
				t.Errorf("%s: made %s", name, path)
			}
		}
	}
}

func TestLinksThatLeadOutAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	var left []string
	o := generous
	o.Skipped = func(name string) { left = append(left, name) }
	link := func(name, target string) entry { return entry{kind: tar.TypeSymlink, name: name, target: target} }
	err := Unpack(stream(t, entry{kind: tar.TypeDir, name: "."}, entry{kind: tar.TypeDir, name: "d"}, link("top", "."),
		link("up", ".."), link("abs", "/etc"), link("round", "top/.."), link("d/far", "../../x"), link("d/ok", "../top"), link("d/also", "..")), dir, ".", o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"up", "abs", "round", "d/far"}, left); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"d": "folder", "top": "-> .", "d/ok": "-> ../top", "d/also": "-> .."}, files(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestNoSetuidBitAndNoLinkInThePlaceOfAFileSurvives(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	put(t, outside, "mine")
	dest := filepath.Join(dir, "dest")
	if err := errors.Join(os.Mkdir(dest, 0o755), os.Symlink(outside, filepath.Join(dest, "file"))); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(stream(t, entry{kind: tar.TypeDir, name: "."}, entry{kind: tar.TypeReg, name: "file", content: "new"}), dest, ".", generous); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"outside": "mine", "dest": "folder", "dest/file": "new"}, files(t, dir)); diff != "" {
		t.Error(diff)
	}
	if fi, err := os.Lstat(filepath.Join(dest, "file")); err != nil || fi.Mode() != 0o777 {
		t.Errorf("made %v, %v", fi.Mode(), err)
	}
}

func TestMoreThanIsAllowedIsNotMade(t *testing.T) {
	big := []entry{{kind: tar.TypeDir, name: "."}, {kind: tar.TypeReg, name: "a", content: "12345"}, {kind: tar.TypeReg, name: "b", content: "12345"}}
	for _, o := range []Options{{Bytes: 9, Entries: 10}, {Bytes: 100, Entries: 2}} {
		dir := t.TempDir()
		if err := Unpack(stream(t, big...), dir, ".", o); !errors.Is(err, ErrTooMuch) {
			t.Errorf("%+v: %v", o, err)
		}
		if got := files(t, dir); got["b"] != "" || got["a"] != "12345" {
			t.Errorf("made %v", got)
		}
	}
	short := stream(t, big...)
	short.Truncate(short.Len() - 2000)
	dir := t.TempDir()
	if err := Unpack(short, dir, ".", generous); err == nil {
		t.Error("half a stream was taken for a whole one")
	}
}

func FuzzUnpackStaysWhereItIs(f *testing.F) {
	f.Add("a/../../x", "..", byte('2'))
	f.Add("a", "b/..", byte('0'))
	f.Fuzz(func(t *testing.T, name, target string, kind byte) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range []*tar.Header{{Typeflag: tar.TypeDir, Name: "."}, {Typeflag: tar.TypeSymlink, Name: "l", Linkname: target},
			{Typeflag: kind, Name: name, Linkname: target}, {Typeflag: tar.TypeReg, Name: "l/x"}} {
			if w.WriteHeader(h) != nil {
				return
			}
		}
		_ = w.Close()
		dir := t.TempDir()
		dest := filepath.Join(dir, "dest")
		_ = Unpack(&b, dest, ".", generous)
		for path := range files(t, dir) {
			if path != "dest" && !filepath.IsLocal(path) || filepath.Dir(path) == "." && path != "dest" {
				t.Errorf("made %s", path)
			}
		}
	})
}

// FuzzUnpackArchive: an archive of any bytes makes nothing but where it may, and no more than it may.
func FuzzUnpackArchive(f *testing.F) {
	dir := f.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "a/b"), 0o755), os.WriteFile(filepath.Join(dir, "a/b/x"), []byte("x"), 0o600),
		os.Symlink("b/x", filepath.Join(dir, "a/l"))); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := Pack(&b, filepath.Join(dir, "a"), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:1024])
	f.Fuzz(func(t *testing.T, archive []byte) {
		dir := t.TempDir()
		_ = Unpack(bytes.NewReader(archive), filepath.Join(dir, "dest"), ".", Options{Bytes: 1 << 16, Entries: 8})
		var size, entries int64
		for path, text := range files(t, dir) {
			if entries++; path != "dest" && !strings.HasPrefix(path, "dest/") {
				t.Errorf("made %s", path)
			}
			size += int64(len(text))
		}
		if size > 1<<17 || entries > 10 {
			t.Errorf("%d bytes in %d entries", size, entries)
		}
	})
}
