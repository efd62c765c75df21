package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rigmesh": main, "nobody-rigmesh": asNobody, "fakenode": asFakeNode, "awaitnode": asWaiter})
}

// TestScripts is what a person can type without a node.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("RIGMESH_DATA", e.WorkDir+"/data")
			return errors.Join(writeArchive(e.WorkDir+"/image.tar"), writeReceipts(e.WorkDir))
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
	})
}

// writeReceipts writes the files of proto/vectors that a script names.
func writeReceipts(dir string) error {
	b, err := os.ReadFile("../../proto/vectors/files.json")
	if err != nil {
		return err
	}
	var v struct {
		Good, Bad []struct{ Name, Why, File string }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	names := map[string]string{
		"a closed lease": "lease.receipt", "a lease with witnesses": "witnessed.receipt",
		"a whole lease with samples": "lease.whole", "two acks of one beat": "fraud.equivocation",
		"a closed lease: version 2": "newer.receipt", "a closed lease: the beat's signature is the ack's": "forged.receipt",
	}
	for _, b := range v.Bad {
		b.Name += ": " + b.Why
		v.Good = append(v.Good, b)
	}
	for _, g := range v.Good {
		if name := names[g.Name]; name != "" {
			file, err := hex.DecodeString(g.File)
			if err := errors.Join(err, os.WriteFile(filepath.Join(dir, name), file, 0o600)); err != nil {
				return err
			}
		}
	}
	return nil
}

// asNobody is rigmesh as an ordinary user, when the test is root.
func asNobody() {
	if os.Geteuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(99)
		}
	}
	main()
}

// writeArchive makes the smallest OCI archive there is: one empty layer's worth of nothing.
func writeArchive(path string) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	file := func(name string, content []byte) {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))})
		_, _ = w.Write(content)
	}
	blob := func(v any) (digest string, size int) {
		content, ok := v.([]byte)
		if !ok {
			content, _ = json.Marshal(v)
		}
		sum := sha256.Sum256(content)
		name := hex.EncodeToString(sum[:])
		file("blobs/sha256/"+name, content)
		return "sha256:" + name, len(content)
	}
	describe := func(mediaType string, v any) map[string]any {
		digest, size := blob(v)
		return map[string]any{"mediaType": "application/vnd.oci.image." + mediaType, "digest": digest, "size": size}
	}
	file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	config := describe("config.v1+json", map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{}},
	})
	manifest := describe("manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []any{},
	})
	manifest["platform"] = map[string]any{"os": "linux", "architecture": "amd64"}
	index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}})
	file("index.json", index)
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func TestHelpOfEveryCommandHasAnExampleAndEveryFlagSaysSomething(t *testing.T) {
	for _, args := range [][]string{
		{}, {"run"}, {"offers"}, {"logs"}, {"exec"}, {"cp"}, {"rm"}, {"attach"}, {"stop"}, {"share"}, {"shares"}, {"unshare"}, {"up"}, {"top"}, {"pause"}, {"drain"}, {"resume"}, {"config"}, {"config", "get"}, {"config", "set"}, {"config", "unset"}, {"config", "list"},
		{"config", "edit"}, {"doctor"}, {"service"}, {"service", "install"}, {"service", "remove"}, {"restore-cards"}, {"ps"}, {"status"}, {"describe"}, {"why"}, {"down"}, {"version"}, {"node"},
		{"receipt"}, {"receipt", "show"}, {"receipt", "verify"}, {"receipt", "list"}, {"receipt", "export"},
	} {
		var out bytes.Buffer
		k := console{out: &out, err: &out, getenv: func(string) string { return "" }}
		if err := run(context.Background(), k, append(append([]string{"rigmesh"}, args...), "--help")); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		for _, want := range []string{"Usage: rigmesh", "Examples:\n  ", "--data DIR"} {
			if !bytes.Contains(out.Bytes(), []byte(want)) {
				t.Errorf("help of %v has no %q:\n%s", args, want, &out)
			}
		}
	}
}
