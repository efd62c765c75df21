//go:build linux

package nvml

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/gpu/cdi"
)

// driverFiles puts a driver's files and device files into the rig's host.
func (r *rig) driverFiles() {
	r.t.Helper()
	for _, dir := range []string{"dev", "usr/lib/x86_64-linux-gnu", "usr/bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(r.host.Root, dir), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, name := range []string{"libcuda.so.550.54.15", "libnvidia-ml.so.550.54.15", "libnvidia-ptxjitcompiler.so.550.54.15"} {
		if err := os.WriteFile(filepath.Join(r.host.Root, "usr/lib/x86_64-linux-gnu", name), []byte("\x7fELF"), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	for i := range 8 {
		r.device(fmt.Sprintf("nvidia%d", i), 195, uint32(i))
	}
	r.device("nvidiactl", 195, 255)
	r.device("nvidia-uvm", 510, 0)
}

func (r *rig) device(name string, major, minor uint32) {
	r.t.Helper()
	err := unix.Mknod(filepath.Join(r.host.Root, "dev", name), unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor)))
	if err == unix.EPERM {
		r.t.Skip("making device files takes root")
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestTheDriversSpecificationGivesATaskItsCardAlone(t *testing.T) {
	r := dgxA100(t)
	r.driverFiles()
	spec, err := r.CDI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	edits, err := cdi.Generated(spec, []string{"GPU-00000003-0000-4000-8000-000000000003"})
	if err != nil {
		t.Fatal(err)
	}
	var nodes, files []string
	for _, n := range edits.Nodes {
		nodes = append(nodes, n.Target)
	}
	for _, f := range edits.Files {
		files = append(files, filepath.Base(f.Target))
	}
	slices.Sort(nodes)
	if !slices.Equal(nodes, []string{"/dev/nvidia-uvm", "/dev/nvidia3", "/dev/nvidiactl"}) {
		t.Errorf("device files %v", nodes)
	}
	if !slices.Contains(files, "libcuda.so.550.54.15") || !slices.Contains(files, "libnvidia-ptxjitcompiler.so.550.54.15") {
		t.Errorf("files %v", files)
	}
	if strings.Contains(string(spec), `"hooks"`) {
		t.Errorf("the specification has hooks: %s", spec)
	}
}
