package cdi

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"tags.cncf.io/container-device-interface/specs-go"
)

// spec is what the toolkit generates for two cards, shortened.
func spec(libraries string) specs.Spec {
	card := func(uuid, node, dri string) specs.Device {
		return specs.Device{Name: uuid, ContainerEdits: specs.ContainerEdits{
			DeviceNodes: []*specs.DeviceNode{{Path: node, HostPath: node}, {Path: dri}},
			Hooks:       []*specs.Hook{{HookName: "createContainer", Path: "/usr/bin/nvidia-cdi-hook", Args: []string{"nvidia-cdi-hook", "create-symlinks"}}},
		}}
	}
	return specs.Spec{Version: specs.CurrentVersion, Kind: Kind,
		Devices: []specs.Device{card("GPU-a", "/dev/nvidia0", "/dev/dri/card0"), card("GPU-b", "/dev/nvidia1", "/dev/dri/card1")},
		ContainerEdits: specs.ContainerEdits{
			Env:            []string{"NVIDIA_VISIBLE_DEVICES=void"},
			DeviceNodes:    []*specs.DeviceNode{{Path: "/dev/nvidiactl"}, {Path: "/dev/nvidia-uvm"}, {Path: "/dev/nvidia-uvm-tools"}, {Path: "/dev/nvidia-modeset"}},
			AdditionalGIDs: []uint32{44},
			Mounts: []*specs.Mount{
				{HostPath: filepath.Join(libraries, "libcuda.so.580.178.04"), ContainerPath: "/usr/lib/x86_64-linux-gnu/libcuda.so.580.178.04"},
				{HostPath: filepath.Join(libraries, "libnvidia-ptxjitcompiler.so.580.178.04"), ContainerPath: "/usr/lib/x86_64-linux-gnu/libnvidia-ptxjitcompiler.so.580.178.04"},
				{HostPath: "/usr/bin/nvidia-smi", ContainerPath: "/usr/bin/nvidia-smi"},
				{HostPath: "/usr/bin/nvidia-persistenced", ContainerPath: "/usr/bin/nvidia-persistenced"},
				{HostPath: "/lib/firmware/nvidia/580.178.04/gsp_ga10x.bin", ContainerPath: "/lib/firmware/nvidia/580.178.04/gsp_ga10x.bin"},
				{HostPath: "/usr/lib/xorg/modules/drivers/nvidia_drv.so", ContainerPath: "/usr/lib/xorg/modules/drivers/nvidia_drv.so"},
			},
		}}
}

// library makes a shared library of the given soname.
func library(t *testing.T, dir, name, soname string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "empty.c")
	if err := os.WriteFile(source, []byte("int nothing;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc to make a library with")
	}
	if out, err := exec.Command("gcc", "-shared", "-nostdlib", "-Wl,-soname,"+soname, "-o", filepath.Join(dir, name), source).CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", name, err, out)
	}
}

func TestATaskGetsItsDeviceAndWhatComputingTakes(t *testing.T) {
	dir := t.TempDir()
	library(t, dir, "libcuda.so.580.178.04", "libcuda.so.1")
	library(t, dir, "libnvidia-ptxjitcompiler.so.580.178.04", "libnvidia-ptxjitcompiler.so.1")
	written, err := json.Marshal(spec(dir))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Generated(written, []string{"GPU-b"})
	if err != nil {
		t.Fatal(err)
	}
	cuda, ptx := filepath.Join(dir, "libcuda.so.580.178.04"), filepath.Join(dir, "libnvidia-ptxjitcompiler.so.580.178.04")
	const place = "/usr/lib/x86_64-linux-gnu"
	want := Edits{
		Nodes: []File{{"/dev/nvidia1", "/dev/nvidia1"}, {"/dev/nvidiactl", "/dev/nvidiactl"}, {"/dev/nvidia-uvm", "/dev/nvidia-uvm"}},
		Files: []File{
			{cuda, place + "/libcuda.so.580.178.04"}, {ptx, place + "/libnvidia-ptxjitcompiler.so.580.178.04"}, {"/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"},
			{cuda, place + "/libcuda.so.1"}, {cuda, place + "/libcuda.so"}, {ptx, place + "/libnvidia-ptxjitcompiler.so.1"},
		},
		Env: []string{"NVIDIA_VISIBLE_DEVICES=void", "LD_LIBRARY_PATH=" + place},
		Left: []string{"/dev/dri/card1", "hook /usr/bin/nvidia-cdi-hook", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/usr/bin/nvidia-persistenced",
			"/lib/firmware/nvidia/580.178.04/gsp_ga10x.bin", "/usr/lib/xorg/modules/drivers/nvidia_drv.so", "additional groups"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSeveralDevicesShareWhatTheyShare(t *testing.T) {
	written, _ := json.Marshal(spec("/nonexistent"))
	got, err := Generated(written, []string{"GPU-a", "GPU-b"})
	if err != nil || len(got.Nodes) != 4 || got.Nodes[0].Target != "/dev/nvidia0" || got.Nodes[1].Target != "/dev/nvidia1" {
		t.Errorf("%v %+v", err, got)
	}
}

func TestSpecificationsThatDoNotFitAreRefused(t *testing.T) {
	written, _ := json.Marshal(spec("/nonexistent"))
	relative := spec("relative")
	bad, _ := json.Marshal(relative)
	for name, c := range map[string]struct {
		spec []byte
		uuid string
		want string
	}{
		"no such device": {written, "GPU-z", "it has no GPU-z"},
		"not JSON":       {[]byte("kind: nvidia"), "GPU-a", "specification of devices"},
		"relative":       {bad, "GPU-a", "want absolute paths"},
	} {
		if _, err := Generated(c.spec, []string{c.uuid}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheOwnersSpecificationIsTakenWholeButForHooks(t *testing.T) {
	root := t.TempDir()
	if _, found, err := Existing(root, []string{"GPU-a"}); found || err != nil {
		t.Errorf("without a file: %t, %v", found, err)
	}
	written, _ := json.Marshal(spec("/opt/driver"))
	dir := filepath.Join(root, "etc/cdi")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nvidia.json"), written, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, found, err := Existing(root, []string{"GPU-a", "GPU-of-later"}); found || err != nil {
		t.Errorf("with a file that lacks a card: %t, %v", found, err)
	}
	got, found, err := Existing(root, []string{"GPU-a"})
	if err != nil || !found {
		t.Fatalf("%t, %v", found, err)
	}
	if !slices.Contains(got.Nodes, File{"/dev/dri/card0", "/dev/dri/card0"}) || len(got.Files) != 6 || slices.Contains(got.Nodes, File{"/dev/nvidia1", "/dev/nvidia1"}) {
		t.Errorf("%+v", got)
	}
	if !slices.Contains(got.Left, "hook /usr/bin/nvidia-cdi-hook") {
		t.Errorf("left out %v", got.Left)
	}
}

func FuzzGenerated(f *testing.F) {
	seed, _ := json.Marshal(spec("/lib"))
	f.Add(seed)
	f.Fuzz(func(t *testing.T, spec []byte) {
		edits, err := Generated(spec, []string{"GPU-a"})
		for _, file := range append(edits.Nodes, edits.Files...) {
			if err == nil && (!filepath.IsAbs(file.Source) || !filepath.IsAbs(file.Target)) {
				t.Errorf("%+v", file)
			}
		}
	})
}
