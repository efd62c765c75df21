package runtimetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

func mounts(t *testing.T, h Harness) {
	in, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := []runtime.Mount{{Source: in, Target: "/in", ReadOnly: true}, {Source: out, Target: "/out"}}
	id := h.start(t, runtime.Spec{Mounts: both}, "copy /in/file /out/copied", "copy /in/file /in/again")
	equal(t, "code", h.wait(t, id).Code, 1)
	b, err := os.ReadFile(filepath.Join(out, "copied"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "copied", string(b), "content")
	if _, err := os.Stat(filepath.Join(in, "again")); err == nil {
		t.Error("a read-only mount was written to")
	}
}

func fileMounts(t *testing.T, h Harness) {
	in, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := []runtime.Mount{{Source: in, File: "file", Target: "/models/new/model.bin", ReadOnly: true}, {Source: out, Target: "/out"}}
	id := h.start(t, runtime.Spec{Mounts: both}, "copy /models/new/model.bin /out/copied", "copy /out/copied /models/new/model.bin")
	equal(t, "code", h.wait(t, id).Code, 1)
	b, err := os.ReadFile(filepath.Join(out, "copied"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "copied", string(b), "content")
}

func ownFolders(t *testing.T, h Harness) {
	in := t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := []runtime.Mount{{Source: in, Target: "/in", ReadOnly: true}, {Target: "/out/put"}}
	id := h.start(t, runtime.Spec{Mounts: both}, "copy /in/file /out/put/copied")
	equal(t, "code", h.wait(t, id).Code, 0)
	h.Runtime = h.Reopen(t)
	dir, err := h.Runtime.Folder(t.Context(), id, "/out/put")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "copied"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "copied", string(b), "content")
	_, err = h.Runtime.Folder(t.Context(), id, "/other")
	is(t, err, runtime.ErrNotFound)
	if err := h.Runtime.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	_, err = h.Runtime.Folder(t.Context(), id, "/out/put")
	is(t, err, runtime.ErrNotFound)
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder is still there")
	}
}

func privateMounts(t *testing.T, h Harness) {
	in := t.TempDir()
	for name, content := range map[string]string{"one": "first", "two": "second"} {
		if err := os.WriteFile(filepath.Join(in, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id := h.start(t, runtime.Spec{Mounts: []runtime.Mount{{Source: in, Target: "/in", Private: true}}},
		"copy /in/one /in/two", "copy /in/two /in/three")
	equal(t, "code", h.wait(t, id).Code, 0)
	b, err := os.ReadFile(filepath.Join(in, "two"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "two", string(b), "second")
	if _, err := os.Stat(filepath.Join(in, "three")); err == nil {
		t.Error("a private mount was written to")
	}
}

func privateFiles(t *testing.T, h Harness) {
	in, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "other"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	both := []runtime.Mount{{Source: in, File: "file", Target: "/models/model.bin", Private: true}, {Source: out, Target: "/out"}}
	id := h.start(t, runtime.Spec{Mounts: both}, "copy /models/model.bin /out/first", "copy /out/other /models/model.bin", "copy /models/model.bin /out/then")
	equal(t, "code", h.wait(t, id).Code, 0)
	for path, want := range map[string]string{
		filepath.Join(out, "first"): "content", filepath.Join(out, "then"): "other", filepath.Join(in, "file"): "content",
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, path, string(b), want)
	}
}
