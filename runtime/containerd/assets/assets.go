//go:build linux

// Package assets carries the programs that a worker needs beside this one: runc,
// the containerd shim and the init of every task, and the reader of its GPUs. A
// folder named by RIGMESH_HELPERS goes before those that were carried.
package assets

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

//go:embed all:bin
var bin embed.FS

// Programs are the paths of the extracted programs.
type Programs struct {
	Runc string `json:"runc"`
	Shim string `json:"shim"`
	Init string `json:"init"`
}

// Names of the embedded programs.
const (
	runcName = "runc"
	shimName = "containerd-shim-runc-v2"
	initName = "rigmesh-init"
	nvmlName = "rigmesh-nvml"
)

// helpersVariable names a folder of programs to run instead of the embedded ones.
const helpersVariable = "RIGMESH_HELPERS"

// Check says which program this binary was built without.
func Check() error {
	for _, name := range []string{runcName, shimName, initName} {
		if _, ok := given(name); ok {
			continue
		}
		if _, err := bin.Open("bin/" + name + ".zst"); err != nil {
			return fmt.Errorf("built without %s: run make build", name)
		}
	}
	return nil
}

// Extract writes the programs under dir unless they are there, each in a folder
// named by its content: what runs is never overwritten by an upgrade.
func Extract(dir string) (Programs, error) {
	var p Programs
	for _, f := range []struct {
		name string
		path *string
	}{{runcName, &p.Runc}, {shimName, &p.Shim}, {initName, &p.Init}} {
		path, err := extract(dir, f.name)
		if err != nil {
			return Programs{}, err
		}
		*f.path = path
	}
	return p, nil
}

// ExtractInit writes the init of every task likewise.
func ExtractInit(dir string) (string, error) { return extract(dir, initName) }

// ExtractNVML writes the program that reads NVIDIA's GPUs under dir unless it is
// there, and gives its path.
func ExtractNVML(dir string) (string, error) { return extract(dir, nvmlName) }

// given is the path of a program in the folder that the environment names.
func given(name string) (string, bool) {
	dir := os.Getenv(helpersVariable)
	if dir == "" {
		return "", false
	}
	path := filepath.Join(dir, name)
	_, err := os.Stat(path)
	return path, err == nil
}

func extract(dir, name string) (string, error) {
	if path, ok := given(name); ok {
		return path, nil
	}
	packed, err := bin.ReadFile("bin/" + name + ".zst")
	if err != nil {
		return "", fmt.Errorf("built without %s: run make build", name)
	}
	sum := sha256.Sum256(packed)
	path := filepath.Join(dir, hex.EncodeToString(sum[:8]), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// The init is bind-mounted into tasks, whose users are others than ours.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := unpack(packed, path); err != nil {
		return "", fmt.Errorf("extract %s: %w", name, err)
	}
	return path, nil
}

// unpack writes path whole or not at all. The temporary name is of its own
// process, so that two that start at once do not write into one file.
func unpack(packed []byte, path string) error {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	raw, err := z.DecodeAll(packed, nil)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	// fsync: an empty runc after a power cut would break every task from then on.
	if err := errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
