//go:build linux

package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Remains is what a lab's processes left on the machine.
type Remains struct {
	Processes  []Left // nodes, containerd, shims, tasks
	Containers []string
	Mounts     []string
	Namespaces []string // named network namespaces
	Cgroups    []string // deepest last
}

// Left is a process that still runs.
type Left struct {
	PID     int
	Command string
}

// String names one process.
func (l Left) String() string { return fmt.Sprintf("%d %s", l.PID, l.Command) }

// None tells whether nothing at all was left.
func (r Remains) None() bool {
	return len(r.Processes)+len(r.Containers)+len(r.Mounts)+len(r.Namespaces)+len(r.Cgroups) == 0
}

// String counts what was left.
func (r Remains) String() string {
	return fmt.Sprintf("%d processes, %d containers, %d mounts, %d network namespaces, %d cgroups",
		len(r.Processes), len(r.Containers), len(r.Mounts), len(r.Namespaces), len(r.Cgroups))
}

// Remains looks for all that the lab's processes left: what carries the lab's
// mark or folder, or the name of one of its nodes.
func (l *Lab) Remains() (Remains, error) { return remainsOf(l.Dir) }

func remainsOf(dir string) (Remains, error) {
	r := Remains{Processes: processesOf(dir), Mounts: mountsOf(dir), Cgroups: cgroupsOf(dir)}
	var err error
	if r.Namespaces, err = namespacesOf(dir); err != nil {
		return r, err
	}
	for _, state := range statesOf(dir) {
		// A bundle is a container's folder, which lasts exactly as long as the container.
		bundles, err := filepath.Glob(filepath.Join(state, "io.containerd.runtime.v2.task", "*", "*"))
		if err != nil {
			return r, err
		}
		r.Containers = append(r.Containers, bundles...)
	}
	return r, nil
}

// peersFile, in a lab's folder, lists the peer ids of its nodes, one a line. What nodes
// make on their host is named "rigmesh-" and the last endOfID letters of their id.
const (
	peersFile = "peers"
	endOfID   = 10
)

// ownedBy tells whether a name was given by one of the lab's nodes.
func ownedBy(dir, name string) bool {
	_, end, found := strings.Cut(name, "rigmesh-")
	if !found {
		return false
	}
	end, _, _ = strings.Cut(end, "-")
	peers, err := os.ReadFile(filepath.Join(dir, peersFile))
	if err != nil {
		return false
	}
	for peer := range strings.FieldsSeq(string(peers)) {
		if strings.ToLower(peer[max(0, len(peer)-endOfID):]) == end {
			return true
		}
	}
	return false
}

// namespacesOf lists the named network namespaces of the lab in dir.
func namespacesOf(dir string) ([]string, error) {
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if ownedBy(dir, entry.Name()) || strings.HasPrefix(entry.Name(), namespace(dir, "")) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// cgroupsOf lists the control groups of the lab in dir, parents first.
func cgroupsOf(dir string) []string {
	var groups []string
	// A group that ends while we look is no error, so there is none at all.
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil
		}
		_, name, found := strings.Cut(path, "/rigmesh-")
		if group, _, _ := strings.Cut(name, "/"); found && ownedBy(dir, "rigmesh-"+group) {
			groups = append(groups, path)
		}
		return nil
	})
	return groups
}

// statesOf lists the folders on /run of the nodes whose data directories lie
// in dir. Each is named after the folder of the node's containerd, as runtime/containerd names it.
func statesOf(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var states []string
	for _, entry := range entries {
		if entry.IsDir() {
			sum := sha256.Sum256([]byte(filepath.Join(dir, entry.Name(), "containerd")))
			states = append(states, filepath.Join("/run/rigmesh", hex.EncodeToString(sum[:5])))
		}
	}
	return states
}

// mountsOf lists the mount points of the lab in dir, in the order they were made.
func mountsOf(dir string) []string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	places := append(statesOf(dir), dir)
	var points []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && slices.ContainsFunc(places, func(place string) bool { return strings.Contains(line, place) }) {
			points = append(points, fields[4])
		}
	}
	return points
}

// processesOf lists the processes that belong to the lab in dir, ourselves aside.
func processesOf(dir string) []Left {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var left []Left
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !belongs(pid, dir) {
			continue
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		left = append(left, Left{PID: pid, Command: strings.TrimSpace(string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))})
	}
	return left
}

// belongs tells whether a process is of the lab in dir: it inherited the mark,
// or it is a task, whose environment is its own but whose root is one of a node in dir.
func belongs(pid int, dir string) bool {
	proc := fmt.Sprintf("/proc/%d/", pid)
	environ, err := os.ReadFile(proc + "environ")
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if string(entry) == mark+"="+dir {
			return true
		}
	}
	mounts, err := os.ReadFile(proc + "mountinfo")
	if err != nil {
		return false
	}
	states := statesOf(dir)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == "/" {
			return slices.ContainsFunc(states, func(state string) bool { return strings.Contains(line, state+"/") })
		}
	}
	return false
}
