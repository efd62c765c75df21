package carry

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// onWord does something once, before it takes a write that has a word in it.
type onWord struct {
	bytes.Buffer
	word string
	do   func()
}

func (w *onWord) Write(p []byte) (int, error) {
	if w.do != nil && bytes.Contains(p, []byte(w.word)) {
		w.do()
		w.do = nil
	}
	return w.Buffer.Write(p)
}

func TestWhatGoesWhileAFolderIsPackedIsLeftOut(t *testing.T) {
	want := map[string]string{"a": "first", "b": "folder", "d": "folder", "f": "last"} // folders arrive empty
	for _, word := range []string{
		"first", // the folder around them has been read by then
		"b",     // b is in the stream, and has not been read
	} {
		from, to := t.TempDir(), t.TempDir()
		for name, content := range map[string]string{"a": "first", "b/in": "inner", "c": "gone", "d/in": "gone", "f": "last"} {
			put(t, filepath.Join(from, name), content)
		}
		if err := os.Symlink("a", filepath.Join(from, "e")); err != nil {
			t.Fatal(err)
		}
		w := &onWord{word: word, do: func() {
			for _, name := range []string{"b", "c", "d", "e"} {
				if err := os.RemoveAll(filepath.Join(from, name)); err != nil {
					t.Error(err)
				}
			}
		}}
		if err := Pack(w, from, func(name string) { t.Errorf("%s is skipped", name) }); err != nil {
			t.Errorf("gone at %q: %v", word, err)
			continue
		}
		if err := Unpack(w, to, ".", generous); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, files(t, to)); diff != "" {
			t.Errorf("gone at %q: %s", word, diff)
		}
	}
}

func TestAFolderThatIsNotThereIsNoEmptyOne(t *testing.T) {
	if err := Pack(&bytes.Buffer{}, filepath.Join(t.TempDir(), "none"), func(string) {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("packed: %v", err)
	}
}
