package requester

import (
	"encoding/json"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// maxDocument bounds a manifest or index that is read whole.
const maxDocument = 32 << 20

// closure lists every blob a job's worker may fetch: the image's, and the
// inputs'. All of them must be in the store.
func closure(c Content, spec *marketv1.Spec) (map[string]bool, error) {
	set := map[string]bool{}
	if err := imageClosure(c, set, spec.Image.Digest, spec.Image.Platform, 0); err != nil {
		return nil, fmt.Errorf("image %s: %w", spec.Image.Name, err)
	}
	for _, in := range spec.Inputs {
		m, err := readManifest(c, in.Manifest)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", in.Path, err)
		}
		set[in.Manifest] = true
		for _, e := range m.Entries {
			if e.Digest != "" {
				set[e.Digest] = true
			}
		}
	}
	for digest := range set {
		r, err := c.Reader(digest, 0)
		if err != nil {
			return nil, fmt.Errorf("blob %s: %w", digest, err)
		}
		_ = r.Close()
	}
	return set, nil
}

// document is what an index and a manifest have between them.
type document struct {
	Manifests []ocispec.Descriptor `json:"manifests"`
	Config    *ocispec.Descriptor  `json:"config"`
	Layers    []ocispec.Descriptor `json:"layers"`
}

// imageClosure adds an index or manifest and what it leads to on one platform.
func imageClosure(c Content, set map[string]bool, digest, platform string, depth int) error {
	if depth > 3 {
		return fmt.Errorf("index %s is nested too deep", digest)
	}
	b, err := readBlob(c, digest)
	if err != nil {
		return err
	}
	var doc document
	if err := json.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("manifest %s: %w", digest, err)
	}
	set[digest] = true
	for _, m := range doc.Manifests {
		if !onPlatform(m.Platform, platform) {
			continue
		}
		if err := imageClosure(c, set, m.Digest.String(), platform, depth+1); err != nil {
			return err
		}
	}
	if doc.Config != nil {
		set[doc.Config.Digest.String()] = true
	}
	for _, l := range doc.Layers {
		set[l.Digest.String()] = true
	}
	return nil
}

// onPlatform says whether a manifest is for a platform like "linux/amd64"; one
// that names none is.
func onPlatform(p *ocispec.Platform, platform string) bool {
	if p == nil || p.OS == "" {
		return true
	}
	name := p.OS + "/" + p.Architecture
	return name == platform || name+"/"+p.Variant == platform
}

func readBlob(c Content, digest string) ([]byte, error) {
	r, err := c.Reader(digest, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("blob %s is over %d bytes", digest, maxDocument)
	}
	return b, err
}
