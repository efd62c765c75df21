package node

import (
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/runtime/ociregistry"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

// registry is a worker's way to public images. A stranger names them.
type registry struct{}

func (registry) Image(name string) (worker.RegistryImage, error) {
	return ociregistry.Anonymous(name, publicnet.Transport())
}

// registry is the way to public images that this node was given, or the real one; nil where
// the owner wants none.
func (n *Node) registry() worker.Registry {
	if !n.cfg.Images.Registries {
		return nil
	}
	if n.parts.Registry != nil {
		return n.parts.Registry
	}
	return registry{}
}
