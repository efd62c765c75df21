// Package nvmltest builds a rigmesh-nvml that serves a mock of NVIDIA's library,
// for tests. It reads what to be from RIGMESH_TEST_MACHINE and its faults, one a line,
// from the file RIGMESH_TEST_FAULTS; cmd/rigmesh-nvml/faults.go lists them.
package nvmltest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var built bool // by build

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rigmesh-nvml-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rigmesh-nvml")
	cmd := exec.Command("go", "build", "-tags", "faults", "-o", path, "github.com/rigmesh/rigmesh/cmd/rigmesh-nvml")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "CGO_CFLAGS=-Wno-deprecated-declarations")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build rigmesh-nvml: %w\n%s", err, out)
	}
	built = true
	return path, nil
})

// Main runs a package's tests and removes what Helper built: TestMain calls it.
func Main(m *testing.M) {
	code := m.Run()
	if built {
		path, _ := build()
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code) //nolint:forbidigo // it is a package's TestMain
}

// Helper is the path of the program, built at the first call. Without a C compiler the test is skipped.
func Helper(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc to build rigmesh-nvml with")
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

//go:embed testdata/cuda.c
var cuda []byte

// CUDA is the path of a stand-in for the CUDA driver's library, whose device has
// CUDA_FREE MiB and the faults that CUDA_FAIL, CUDA_LIE, CUDA_HOARD and CUDA_CRASH name. The
// helper is told of it by RIGMESH_TEST_CUDA.
func CUDA(t *testing.T) string {
	t.Helper()
	source, library := filepath.Join(t.TempDir(), "cuda.c"), filepath.Join(t.TempDir(), "libcuda.so")
	if err := os.WriteFile(source, cuda, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in for libcuda: %v\n%s", err, out)
	}
	return library
}
