// Package cdi says what a task needs of its host to use the devices that were
// lent to it: device files, the driver's libraries, and environment. It reads
// specifications of the Container Device Interface, the driver's own or those in
// /etc/cdi. Hooks of either are left out: they would be programs of the host that
// run as root for every stranger's task.
package cdi

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/specs-go"
)

// Kind is what specifications of NVIDIA's devices are called.
const Kind = "nvidia.com/gpu"

// File is something of the host that a task sees.
type File struct {
	Source string // absolute, on the host
	Target string // absolute, in the task
}

// Edits are what a task needs beside what every task has.
type Edits struct {
	Nodes []File // device files, to read and write
	Files []File // read-only
	Env   []string
	Left  []string // what a specification asked for and the task does not get, for the log
}

// Generated takes the named devices from a specification that describes all of
// them by UUID, as the reader of GPUs makes it. Of the driver's files a task gets
// the libraries and nvidia-smi; of its device files those that computing takes.
func Generated(spec []byte, uuids []string) (Edits, error) {
	var raw specs.Spec
	if err := json.Unmarshal(spec, &raw); err != nil {
		return Edits{}, fmt.Errorf("specification of devices: %w", err)
	}
	var e editing
	for _, uuid := range uuids {
		at := slices.IndexFunc(raw.Devices, func(d specs.Device) bool { return d.Name == uuid })
		if at < 0 {
			return Edits{}, fmt.Errorf("specification of devices: it has no %s", uuid)
		}
		e.add(raw.Devices[at].ContainerEdits, computes)
	}
	e.add(raw.ContainerEdits, computes)
	return e.done()
}

// Existing takes the named devices from the specifications in the host's /etc/cdi
// and /var/run/cdi, and whole but for their hooks: the owner wrote or ordered them.
// It is false unless they have every device by its UUID. root is the host's file system.
func Existing(root string, uuids []string) (Edits, bool, error) {
	cache, err := cdi.NewCache(cdi.WithAutoRefresh(false),
		cdi.WithSpecDirs(filepath.Join(root, "etc/cdi"), filepath.Join(root, "var/run/cdi")))
	if err != nil {
		return Edits{}, false, fmt.Errorf("read /etc/cdi: %w", err)
	}
	var e editing
	files := make(map[string]*cdi.Spec)
	for _, uuid := range uuids {
		device := cache.GetDevice(Kind + "=" + uuid)
		if device == nil {
			return Edits{}, false, nil
		}
		e.add(device.ContainerEdits, all)
		files[device.GetSpec().GetPath()] = device.GetSpec()
	}
	for _, file := range files {
		e.add(file.ContainerEdits, all)
	}
	edits, err := e.done()
	return edits, true, err
}

// all keeps everything of a specification.
func all(string) bool { return true }

// computes says whether a path in a task is of use when it computes: no
// display, no profiler of the whole card, no daemons' programs, no firmware.
func computes(path string) bool {
	name := filepath.Base(path)
	switch {
	case strings.HasPrefix(path, "/dev/"):
		return !strings.HasPrefix(path, "/dev/dri/") && name != "nvidia-modeset" && name != "nvidia-uvm-tools"
	case strings.Contains(path, "/xorg/") || strings.Contains(path, "/vdpau/") || strings.Contains(path, "/gbm/"):
		return false
	}
	return strings.Contains(name, ".so") || name == "nvidia-smi"
}

// editing collects edits of several devices, each thing once.
type editing struct{ Edits }

func (e *editing) add(from specs.ContainerEdits, keep func(path string) bool) {
	for _, n := range from.DeviceNodes {
		source := n.HostPath
		if source == "" {
			source = n.Path
		}
		e.file(&e.Nodes, File{source, n.Path}, keep)
	}
	for _, m := range from.Mounts {
		e.file(&e.Files, File{m.HostPath, m.ContainerPath}, keep)
	}
	for _, env := range from.Env {
		if !slices.Contains(e.Env, env) {
			e.Env = append(e.Env, env)
		}
	}
	for _, h := range from.Hooks {
		e.leave("hook " + h.Path)
	}
	if len(from.NetDevices) > 0 {
		e.leave("network devices")
	}
	if len(from.AdditionalGIDs) > 0 {
		e.leave("additional groups")
	}
}

func (e *editing) file(to *[]File, f File, keep func(string) bool) {
	switch {
	case !keep(f.Target):
		e.leave(f.Target)
	case !slices.ContainsFunc(*to, func(o File) bool { return o.Target == f.Target }):
		*to = append(*to, f)
	}
}

func (e *editing) leave(what string) {
	if !slices.Contains(e.Left, what) {
		e.Left = append(e.Left, what)
	}
}

// done adds what the hooks that are left out would have done: the names by which
// programs look for the libraries, and the places where they look.
func (e *editing) done() (Edits, error) {
	for _, f := range append(slices.Clone(e.Nodes), e.Files...) {
		if !filepath.IsAbs(f.Source) || !filepath.IsAbs(f.Target) || filepath.Clean(f.Target) != f.Target {
			return Edits{}, fmt.Errorf("specification of devices: %q at %q: want absolute paths", f.Source, f.Target)
		}
	}
	var places []string
	for _, f := range slices.Clone(e.Files) {
		if !strings.Contains(filepath.Base(f.Target), ".so") {
			continue
		}
		place := filepath.Dir(f.Target)
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
		for _, name := range linkNames(f.Source) {
			e.file(&e.Files, File{f.Source, filepath.Join(place, name)}, all)
		}
	}
	if len(places) > 0 {
		e.Env = append(e.Env, "LD_LIBRARY_PATH="+strings.Join(places, ":"))
	}
	return e.Edits, nil
}
