package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileReplacesAFileWholeAndLeavesNothingBeside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"the first and longer content", "second", ""} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("file holds %q, %v; want %q", got, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("the folder holds %v", all)
	}
	if err := WriteFile(filepath.Join(path, "below a file"), nil); err == nil {
		t.Error("a file was written below a file")
	}
}

func TestSyncFileWantsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := SyncFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SyncFile(path); err != nil {
		t.Error(err)
	}
}
