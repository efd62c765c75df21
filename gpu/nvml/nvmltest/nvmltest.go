// Package nvmltest builds a rigmesh-nvml that serves a mock of NVIDIA's library,
// for tests. It reads what to be from RIGMESH_TEST_MACHINE and its faults, one a line,
// from the file RIGMESH_TEST_FAULTS; cmd/rigmesh-nvml/faults.go lists them.
package nvmltest

import (
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
	os.Exit(code)
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
