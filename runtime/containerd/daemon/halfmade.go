//go:build linux

package daemon

import (
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/errdefs"
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
			err = c.Cleanup(ic.Context)
			if errdefs.IsNotFound(err) { // it has no record of any yet
				all := filepath.Join(filepath.Dir(ic.Properties[plugins.PropertyRootDir]), string(plugins.SnapshotPlugin)+".overlayfs", "snapshots")
				err = os.RemoveAll(all)
				if err == nil {
					err = os.Mkdir(all, 0o700)
				}
			}
			return c, err
		},
	})
}
