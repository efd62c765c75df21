//go:build linux

package containerd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/pkg/oci"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
)

// strange is a device that no task has by itself: the mouse, whose file opens
// with ENODEV where there is none, and with EPERM where it is not allowed.
var strange = struct{ major, minor uint32 }{10, 1}

// deviceFiles are two cards of which one is lent, their control device, and a library.
func deviceFiles(t *testing.T, mode uint32) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, device := range map[string]uint64{
		"card0": unix.Mkdev(1, 5), "card1": unix.Mkdev(strange.major, strange.minor), "control": unix.Mkdev(1, 3),
	} {
		if err := unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|mode, int(device)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), os.FileMode(mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "libcuda.so.580"), []byte("a library\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestATaskHasTheDevicesItWasLentAndNoOthers(t *testing.T) {
	h := open(t)
	dir := deviceFiles(t, 0o666)
	spec := runtime.Spec{User: "worker", Env: []string{"CHANGED=spec"}, Devices: runtime.Devices{
		Nodes: []runtime.File{{Source: filepath.Join(dir, "card0"), Target: "/dev/nvidia0"}, {Source: filepath.Join(dir, "control"), Target: "/dev/nvidiactl"}},
		Files: []runtime.File{{Source: filepath.Join(dir, "libcuda.so.580"), Target: "/usr/lib/x86_64-linux-gnu/libcuda.so.1"}},
		Env:   []string{"LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu", "CHANGED=device"},
	}}
	for _, c := range []struct{ what, line, want string }{
		{"the lent device gives what it gives", "head -c 4 /dev/nvidia0 | od -An -tx1", " 00 00 00 00\n"},
		{"the control device takes what it takes", "echo x >/dev/nvidiactl && echo written", "written\n"},
		{"no other card is there", "ls /dev | grep -c nvidia; test -e /dev/nvidia1 || echo none", "2\nnone\n"},
		{"the library is there", "cat /usr/lib/x86_64-linux-gnu/libcuda.so.1", "a library\n"},
		{"the library cannot be written", "echo x 2>&- >/usr/lib/x86_64-linux-gnu/libcuda.so.1 || echo refused", "refused\n"},
		{"the environment is that of the devices under the spec's", "echo $LD_LIBRARY_PATH $CHANGED", "/usr/lib/x86_64-linux-gnu spec\n"},
		{"it is in a user namespace all the same", "test $(awk '{print $2}' /proc/self/uid_map) -gt 0 && echo mapped", "mapped\n"},
	} {
		if _, out := h.run(t, spec, c.line); out != c.want {
			t.Errorf("%s: got %q, want %q", c.what, out, c.want)
		}
	}
}

// A device file alone opens nothing: it takes the rule that comes with a lease.
func TestADeviceFileWithoutItsRuleStaysShut(t *testing.T) {
	h := open(t)
	dir := deviceFiles(t, 0o666)
	const look = "cat /dev/nvidia1 2>&1 >/dev/null | grep -o 'Operation not permitted\\|No such device.*' | head -1"
	device := runtime.File{Source: filepath.Join(dir, "card1"), Target: "/dev/nvidia1"}
	_, ruled := h.run(t, runtime.Spec{Devices: runtime.Devices{Nodes: []runtime.File{device}}}, look)
	if !strings.HasPrefix(ruled, "No such device") {
		t.Errorf("with its rule it says %q: want it to reach the kernel, which has none", ruled)
	}
	h.loosen = func(l *launch) { // the file without the rule
		l.last = append(l.last, oci.WithMounts(deviceMounts(runtime.Devices{Nodes: []runtime.File{device}})))
	}
	if _, shut := h.run(t, runtime.Spec{}, look); shut != "Operation not permitted\n" {
		t.Errorf("without its rule it says %q", shut)
	}
}

func TestADeviceThatATaskCouldNotUseIsRefusedWithTheRemedy(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct{ path, want string }{
		"closed to others": {filepath.Join(deviceFiles(t, 0o660), "card0"), "NVreg_DeviceFileMode=0666"},
		"a plain file":     {filepath.Join(deviceFiles(t, 0o666), "libcuda.so.580"), "no character device"},
		"nothing":          {"/nonexistent/nvidia0", "no such file"},
	} {
		err := h.Start(t.Context(), runtime.Spec{ID: "task", Image: h.image, Command: []string{"true"},
			Devices: runtime.Devices{Nodes: []runtime.File{{Source: c.path, Target: "/dev/nvidia0"}}}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
