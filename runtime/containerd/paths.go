//go:build linux

package containerd

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
)

// claimsDir holds one file per range of users in use, of every node of this host.
const claimsDir = "/run/rigmesh/users"

// paths are the places of one runtime. What must survive a restart of the host is
// under the data folder; sockets and mounts are on /run, where paths are short
// (108 bytes is all a socket may have) and a restart empties them.
type paths struct {
	root  string // containerd's, and the extracted programs
	state string // containerd's sockets and mounts
	tasks string // one folder per task
	disks string // empty file systems to copy, one per size
	log   string // of the containerd child

	daemon string // state folder of the containerd that is used, ours or the system's
	socket string // its socket
}

// pathsOf are the places for a data folder, and for the system's containerd if its socket
// is given: that keeps its state beside it.
func pathsOf(dataDir, socket string) paths {
	sum := sha256.Sum256([]byte(filepath.Clean(dataDir)))
	p := paths{
		root:  filepath.Join(dataDir, "containerd"),
		state: filepath.Join("/run/rigmesh", hex.EncodeToString(sum[:5])),
		tasks: filepath.Join(dataDir, "tasks"),
		disks: filepath.Join(dataDir, "disks"),
		log:   filepath.Join(dataDir, "containerd.log"),
	}
	p.daemon, p.socket = p.state, daemon.Socket(p.state)
	if socket != "" {
		p.daemon, p.socket = filepath.Dir(socket), socket
	}
	return p
}

func (p paths) task(id string) string   { return filepath.Join(p.tasks, id) }
func (p paths) record(id string) string { return filepath.Join(p.tasks, id, "rec") }
func (p paths) execs(id string) string  { return filepath.Join(p.tasks, id, "exec") }
func (p paths) runc() string            { return filepath.Join(p.state, "runc") }
func (p paths) bundles(ns string) string {
	return filepath.Join(p.daemon, "io.containerd.runtime.v2.task", ns)
}

// blob is where our own containerd keeps one, by the hex digits of its digest.
func (p paths) blob(hex string) string {
	return filepath.Join(p.root, "io.containerd.content.v1.content", "blobs", "sha256", hex)
}

// mounts is the folder of everything that is mounted for a task.
func (p paths) mounts(id string) string { return filepath.Join(p.state, mountsDir, id) }

// mount is one of them, by its name.
func (p paths) mount(id, name string) string { return filepath.Join(p.mounts(id), name) }

// image is the file that holds a task's disk.
func (p paths) image(id string) string { return filepath.Join(p.tasks, id, "disk.img") }

// mountsDir is in the state folder.
const mountsDir = "t"

// Names of a task's mounts, beside one for each mount of its spec.
const (
	diskMount = "disk" // its own file system
	rootMount = "root" // its root folder
)

func (p paths) output(id string, name string) string { return filepath.Join(p.record(id), name) }

// Files in a task's own folder, beside the record folder that the init shares.
const (
	claimFile = "users.json" // the range of users it draws from
	finalFile = "exit.json"  // runtime.Exit, once it is settled
	stopFile  = "stopped"    // we are about to ask it to end: nothing else did
	killFile  = "killed"     // we are about to kill it: no OOM, no accident
	hostsFile = "hosts"      // its /etc/hosts

	resolvFile = "resolv.conf" // its /etc/resolv.conf, when it has a way out
	egressFile = "egress.json" // runtime.Egress, likewise
)
