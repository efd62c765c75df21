//go:build linux

// Command image makes the image that the check of real hardware runs: one program,
// and of this system what it is linked with. CUDA's libraries come from the host it runs on.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// libraries are what the program and the driver's libraries are linked with.
var libraries = []string{"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}

const (
	loader = "/lib64/ld-linux-x86-64.so.2"
	from   = "/lib/x86_64-linux-gnu"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: image PROGRAM ARCHIVE")
		os.Exit(2)
	}
	if err := build(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "image: error:", err)
		os.Exit(1)
	}
}

func build(program, archive string) error {
	root, err := os.MkdirTemp("", "gpu-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil {
		return err
	}
	files := map[string]string{program: "load", loader: loader}
	for _, name := range libraries {
		files[filepath.Join(from, name)] = filepath.Join(from, name)
	}
	for source, target := range files {
		if err := install(source, filepath.Join(root, target)); err != nil {
			return err
		}
	}
	return ociimage.FromDir(archive, root, ociimage.Options{Env: []string{"PATH=/"}})
}

func install(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
