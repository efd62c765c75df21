//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/client"

	"github.com/rigmesh/rigmesh/runtime/containerd/assets"
)

// systemShim is how containerd calls the shim that came with it.
const systemShim = "io.containerd.runc.v2"

// systemWithin is how long the system's containerd may be away, restarting perhaps.
const systemWithin = 10 * time.Second

// ErrNoDaemon: the system's containerd does not answer.
var ErrNoDaemon = errors.New("containerd does not answer")

// openSystem connects to the system's containerd, which is never started nor ended here.
// Of our own programs it takes the init alone.
func openSystem(ctx context.Context, p paths, socket string) (*client.Client, assets.Programs, error) {
	init, err := assets.ExtractInit(filepath.Join(p.root, "bin"))
	if err != nil {
		return nil, assets.Programs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, systemWithin)
	defer cancel()
	for {
		c, err := dial(ctx, socket)
		if err == nil {
			return c, assets.Programs{Shim: systemShim, Init: init}, nil
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return nil, assets.Programs{}, fmt.Errorf("%w on %s: %w", ErrNoDaemon, socket, err)
		}
	}
}
