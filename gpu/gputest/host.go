package gputest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Host is a folder with what the kernel of a machine with GPUs shows in sysfs and /proc.
type Host struct {
	Root string
	t    *testing.T
}

// NewHost makes a machine with nothing on its bus.
func NewHost(t *testing.T) *Host {
	h := &Host{Root: t.TempDir(), t: t}
	h.must(os.MkdirAll(filepath.Join(h.Root, "sys/bus/pci/devices"), 0o755))
	return h
}

// Card puts a display controller on the bus. Its place is the root and all that is
// between: "0000:00/0000:00:01.0/0000:01:00.0". The files replace or join the usual ones.
func (h *Host) Card(place string, vendor, product uint16, driver string, files map[string]string) {
	h.t.Helper()
	all := map[string]string{
		"class": "0x030000", "vendor": fmt.Sprintf("0x%04x", vendor), "device": fmt.Sprintf("0x%04x", product), "numa_node": "-1",
	}
	for name, content := range files {
		all[name] = content
	}
	dir := h.device(place, all)
	if driver != "" {
		h.must(os.Symlink("../../../bus/pci/drivers/"+driver, filepath.Join(dir, "driver")))
	}
}

// Other puts something on the bus that is no GPU.
func (h *Host) Other(place string, vendor uint16, class string) {
	h.t.Helper()
	h.device(place, map[string]string{"class": class, "vendor": fmt.Sprintf("0x%04x", vendor), "device": "0x0001"})
}

func (h *Host) device(place string, files map[string]string) string {
	h.t.Helper()
	dir := filepath.Join(h.Root, "sys/devices/pci"+place)
	h.write(dir, files)
	h.must(os.Symlink(dir, filepath.Join(h.Root, "sys/bus/pci/devices", filepath.Base(place))))
	return dir
}

// Module loads NVIDIA's kernel module, which knows the UUID of the card at each address.
func (h *Host) Module(version string, uuids map[string]string) {
	h.t.Helper()
	proc := filepath.Join(h.Root, "proc/driver/nvidia")
	h.write(proc, map[string]string{
		"version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  " + version + "  Release Build  (dvs-builder)\nGCC version:  gcc version 12.2.0\n",
	})
	for address, uuid := range uuids {
		h.write(filepath.Join(proc, "gpus", address), map[string]string{
			"information": "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 166\nGPU UUID: \t " + uuid + "\nVideo BIOS: \t 95.02.3c.00.8c\n",
		})
	}
}

func (h *Host) write(dir string, files map[string]string) {
	h.t.Helper()
	h.must(os.MkdirAll(dir, 0o755))
	for name, content := range files {
		h.must(os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o644))
	}
}

func (h *Host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}
