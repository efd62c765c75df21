package market

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Images are those that an owner runs. The zero value: all.
type Images struct {
	// MaxBytes bounds an image as it is sent, and MaxLayers its layers; 0: not.
	MaxBytes  uint64
	MaxLayers uint32
	// Allow are the only names, unless empty; Deny are never. A name stands for itself and for
	// all below it: "ghcr.io", "docker.io/library", "nvcr.io/nvidia/pytorch".
	Allow, Deny []string
}

// Proven says whether an image has to come from the registry that its name tells of:
// otherwise whoever names it could name it anything.
func (i Images) Proven() bool { return len(i.Allow) > 0 }

func (q question) image() *marketv1.Decline {
	i, a := q.worker.Images, q.wanted
	no := marketv1.DeclineReason_DECLINE_REASON_IMAGE
	name := job.ImageName(a.GetImageName())
	switch {
	case i.MaxBytes > 0 && a.GetImageBytes() > i.MaxBytes:
		d := decline(no, "images of at most %s", gpu.FormatVRAM(i.MaxBytes))
		d.ImageBytes = i.MaxBytes
		return d
	case i.MaxLayers > 0 && a.GetImageLayers() > i.MaxLayers:
		d := decline(no, "images of at most %d layers", i.MaxLayers)
		d.ImageLayers = i.MaxLayers
		return d
	case below(name, i.Deny):
		return decline(no, "the owner does not run %s", name)
	case len(i.Allow) > 0 && name == "":
		return decline(no, "public images of %s only", listed(i.Allow))
	case len(i.Allow) > 0 && !below(name, i.Allow):
		return decline(no, "images of %s only", listed(i.Allow))
	}
	return nil
}

// listed names the first of a list.
func listed(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// below says whether a name is one of those listed, or below one.
func below(name string, list []string) bool {
	for _, l := range list {
		if name != "" && (name == l || strings.HasPrefix(name, l+"/")) {
			return true
		}
	}
	return false
}

// explainImage words the declines of an image: what the first that says something says.
func explainImage(ds []*marketv1.Decline) string {
	return cmp.Or(said(ds), "another image than the owner runs")
}
