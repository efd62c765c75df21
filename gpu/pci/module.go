package pci

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
)

// Module is what NVIDIA's kernel module tells of itself in /proc.
type Module struct {
	Version gpu.Version
	// UUIDs of its cards by PCI address; a card whose UUID it does not know has "".
	UUIDs map[string]string
}

// NVIDIAModule reads what the module tells; false when none is loaded.
func NVIDIAModule(root string) (Module, bool) {
	dir := filepath.Join(root, "proc/driver/nvidia")
	version := line(dir, "version")
	if version == "" {
		return Module{}, false
	}
	m := Module{Version: moduleVersion(version), UUIDs: make(map[string]string)}
	cards, _ := os.ReadDir(filepath.Join(dir, "gpus")) // none without a card
	for _, c := range cards {
		information := line(filepath.Join(dir, "gpus", c.Name()), "information")
		m.UUIDs[Address(c.Name())] = field(information, "GPU UUID")
	}
	return m, true
}

// moduleVersion finds the first word of dotted numbers: "NVRM version: NVIDIA UNIX
// x86_64 Kernel Module  580.95.05  Tue …".
func moduleVersion(text string) gpu.Version {
	for word := range strings.FieldsSeq(text) {
		if v := gpu.Version(word); strings.Contains(word, ".") && v.Valid() {
			return v
		}
	}
	return ""
}

// field is the value of a line "NAME:  value". What the module does not know yet it writes in question marks.
func field(text, name string) string {
	for l := range strings.Lines(text) {
		if key, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(key) == name {
			value = strings.TrimSpace(value)
			if strings.Contains(value, "?") {
				return ""
			}
			return value
		}
	}
	return ""
}
