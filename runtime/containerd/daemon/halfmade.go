//go:build linux

package daemon

import (
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
)

// A containerd that was killed between the folder of a snapshot and its record of it gives
// the next snapshot the same number, and then finds the folder in its way. Such folders go
// before anybody is served.
func init() {
	registry.Register(&plugin.Registration{
		Type: "io.rigmesh.halfmade.v1", ID: "snapshots", Requires: []plugin.Type{plugins.SnapshotPlugin},
		InitFn: func(ic *plugin.InitContext) (any, error) {
			made, err := ic.GetByID(plugins.SnapshotPlugin, "overlayfs")
			if err != nil {
				return nil, err
			}
			c, ok := made.(snapshots.Cleaner)
			if !ok {
				return nil, plugin.ErrSkipPlugin
			}
			return c, c.Cleanup(ic.Context)
		},
	})
}
