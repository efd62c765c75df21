//go:build linux

package containerd

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

func TestAnImageInDockersMediaTypesIsPulled(t *testing.T) {
	h := open(t)
	path := filepath.Join(t.TempDir(), "docker.tar")
	root := t.TempDir()
	if err := ociimage.BusyboxTree(root); err != nil {
		t.Fatal(err)
	}
	o := ociimage.BusyboxOptions()
	o.Docker, o.Owner = true, 1000 // not the layer that is unpacked already
	if err := ociimage.FromDir(path, root, o); err != nil {
		t.Fatal(err)
	}
	image := pullArchive(t, h.Runtime, path)
	if diff := cmp.Diff("application/vnd.docker.distribution.manifest.v2+json", image.MediaType); diff != "" {
		t.Fatal(diff)
	}
	spec := runtime.Spec{ID: "docker", Image: image, Command: []string{"sh", "-c", "exit 7"}}
	if err := h.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	exit, err := h.Wait(t.Context(), spec.ID)
	if err != nil || exit.Code != 7 {
		t.Errorf("%+v, %v", exit, err)
	}
}
