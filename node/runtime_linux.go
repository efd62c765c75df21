package node

import (
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd"
)

// newRuntime is containerd, in a child process of this binary, or the system's.
func (n *Node) newRuntime() (runtime.Runtime, error) {
	return containerd.New(containerd.Config{
		DataDir: n.path("containerd"), Prefix: n.hostPrefix(), Socket: n.cfg.Containerd, MakeRoom: n.trim,
		MaxImageBytes: int64(n.cfg.Images.MaxBytes), MaxLayers: n.cfg.Images.MaxLayers, Log: n.log,
	})
}
