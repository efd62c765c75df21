//go:build linux

// Package assets carries the programs that a worker needs beside this one: runc,
// the containerd shim and the init of every task, and the reader of its GPUs. A
// folder named by RIGMESH_HELPERS goes before those that were carried.
package assets

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
		if _, err := open(name); err != nil {
			return err
		}
	}
	return nil
}

// Extract writes the programs under dir unless they are there, each in a folder
// named by its content: what runs is never overwritten by an upgrade.
func Extract(dir string) (Programs, error) { return programs(dir, extract) }

// Extracted says where Extract has put the programs. fs.ErrNotExist when it has not yet.
func Extracted(dir string) (Programs, error) { return programs(dir, extracted) }

func programs(dir string, find func(dir, name string) (string, error)) (p Programs, err error) {
	for _, f := range []struct {
		name string
		path *string
	}{{runcName, &p.Runc}, {shimName, &p.Shim}, {initName, &p.Init}} {
		if *f.path, err = find(dir, f.name); err != nil {
			return Programs{}, err
		}
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
	path, err := extracted(dir, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	// The init is bind-mounted into tasks, whose users are others than ours.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := unpack(name, path); err != nil {
		return "", fmt.Errorf("extract %s: %w", name, err)
	}
	return path, nil
}

// extracted is the path of a program. fs.ErrNotExist when it is not there, beside the path
// where it belongs.
func extracted(dir, name string) (string, error) {
	if path, ok := given(name); ok {
		return path, nil
	}
	content, err := contentOf(name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, content, name)
	_, err = os.Stat(path)
	return path, err
}

// contentOf names what a program consists of: by its size and by the checksum that zstd ends
// with. Reading all of it would hold in memory what is needed once.
func contentOf(name string) (string, error) {
	f, err := open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	var checksum [4]byte
	if _, err := f.(io.ReaderAt).ReadAt(checksum[:], fi.Size()-int64(len(checksum))); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x-%x", fi.Size(), checksum), nil
}

func open(name string) (fs.File, error) {
	f, err := bin.Open("bin/" + name + ".zst")
	if err != nil {
		return nil, fmt.Errorf("built without %s: run make build", name)
	}
	return f, nil
}

// unpack writes path whole or not at all. The temporary name is of its own
// process, so that two that start at once do not write into one file.
func unpack(name, path string) error {
	packed, err := open(name)
	if err != nil {
		return err
	}
	defer packed.Close()
	z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = z.WriteTo(f)
	// fsync: an empty runc after a power cut would break every task from then on.
	if err := errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
