//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
)

const (
	// usedLabel changes when an image is used, and with it the time of the image's last change.
	usedLabel = "rigmesh.used"
	// rootLabel keeps the blob that an image's digest is of, when that is not its manifest.
	rootLabel = "containerd.io/gc.ref.content.root"
	// usedStep is how exactly that is known: noting it costs a sync.
	usedStep = time.Minute
)

var _ runtime.Images = (*Runtime)(nil)

// Images lists the images that pulls have finished, and what there is of others.
func (r *Runtime) Images(ctx context.Context) (all []runtime.Kept, err error) {
	err = r.do(ctx, func(ctx context.Context, c *client.Client) error {
		all = nil
		list, err := c.ImageService().List(ctx)
		if err != nil {
			return err
		}
		listed := map[string]int64{}
		for _, i := range list {
			image, ok := imageNamed(i.Name)
			if !ok {
				continue
			}
			parts, err := partsOf(ctx, c, i)
			if err != nil {
				return err
			}
			maps.Copy(listed, parts)
			all = append(all, runtime.Kept{Image: image, Used: i.UpdatedAt, Parts: parts})
		}
		rest, err := looseParts(ctx, c, listed)
		if len(rest) > 0 {
			all = append(all, runtime.Kept{Parts: rest})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return all, nil
}

// imageNamed is the reverse of imageName, as far as that goes: a name says nothing of a size.
func imageNamed(name string) (runtime.Image, bool) {
	rest, ok := strings.CutPrefix(name, "rigmesh/")
	digest, platform, ok2 := strings.Cut(rest, "@")
	return runtime.Image{Digest: digest, Platform: platform}, ok && ok2
}

// partsOf are the blobs and unpacked layers of an image.
func partsOf(ctx context.Context, c *client.Client, i images.Image) (map[string]int64, error) {
	store := c.ContentStore()
	parts := map[string]int64{i.Target.Digest.String(): i.Target.Size}
	below, err := images.Children(ctx, store, i.Target)
	if errdefs.IsNotFound(err) { // somebody takes it away just now
		return parts, nil
	}
	if err != nil {
		return nil, err
	}
	for _, d := range below {
		parts[d.Digest.String()] = d.Size
		if !images.IsConfigType(d.MediaType) {
			continue
		}
		layers, err := images.RootFS(ctx, store, d)
		if err != nil {
			return nil, err
		}
		for _, chain := range identity.ChainIDs(layers) {
			usage, err := c.SnapshotService(snapshotter).Usage(ctx, chain.String())
			if err != nil && !errdefs.IsNotFound(err) {
				return nil, err
			}
			parts["unpacked "+chain.String()] = usage.Size
		}
	}
	return parts, nil
}

// looseParts are blobs, whole and in part, of no image that is listed: pulls that go on or were cut off.
func looseParts(ctx context.Context, c *client.Client, listed map[string]int64) (map[string]int64, error) {
	rest := map[string]int64{}
	err := c.ContentStore().Walk(ctx, func(i content.Info) error {
		if _, ok := listed[i.Digest.String()]; !ok {
			rest[i.Digest.String()] = i.Size
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	partial, err := c.ContentStore().ListStatuses(ctx)
	for _, s := range partial {
		rest["part of "+s.Ref] = s.Offset
	}
	return rest, err
}

// Blobs are those in containerd's store that are whole, as far as somebody may have them.
func (r *Runtime) Blobs(ctx context.Context, who string) (map[string]int64, error) {
	all := map[string]int64{}
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		return c.ContentStore().Walk(ctx, func(i content.Info) error {
			if mayHave(i.Labels, who) {
				all[i.Digest.String()] = i.Size
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	return all, nil
}

// Forget lets go of an image, its blobs and its unpacked layers. A task that uses them keeps
// its own until it is removed.
func (r *Runtime) Forget(ctx context.Context, image runtime.Image, busy func() bool) (bool, error) {
	unlock, ok := r.blobs.tryLock(pullLock(image))
	if !ok {
		return false, nil
	}
	defer unlock()
	if busy() {
		return false, nil
	}
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		err := forgetView(ctx, c, image)
		if err == nil {
			err = c.ImageService().Delete(ctx, imageName(image), images.SynchronousDelete())
		}
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("forget image %s: %w", image.Digest, err)
	}
	return true, nil
}

// forgetView lets go of the view of an image's layers. Tasks hold on to the layers themselves,
// and the next task of another image with the same layers makes a view anew.
func forgetView(ctx context.Context, c *client.Client, image runtime.Image) error {
	img, err := present(ctx, c, image)
	if errors.Is(err, runtime.ErrImage) {
		return nil
	}
	if err != nil {
		return err
	}
	layers, err := img.RootFS(ctx)
	if err == nil {
		err = c.SnapshotService(snapshotter).Remove(ctx, viewOf(identity.ChainID(layers).String()))
	}
	if errdefs.IsNotFound(err) { // of an image that no task was started of, or that lacks a part
		return nil
	}
	return err
}

// touch notes that an image is used now.
func touch(ctx context.Context, c *client.Client, i images.Image) error {
	if time.Since(i.UpdatedAt) < usedStep {
		return nil
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	_, err := c.ImageService().Update(ctx, images.Image{Name: i.Name, Labels: map[string]string{usedLabel: now}}, "labels."+usedLabel)
	return err
}

// Part reads a blob of an image that is here. Our own containerd's are files that need not
// pass through two more processes.
func (r *Runtime) Part(ctx context.Context, name string, offset int64) (io.ReadCloser, int64, error) {
	d, err := digest.Parse(name)
	if err != nil {
		return nil, 0, fmt.Errorf("blob %q: %w", name, runtime.ErrNotFound)
	}
	if r.cfg.Socket == "" {
		return partOfFile(r.paths.blob(d.Encoded()), offset)
	}
	var part content.ReaderAt
	err = r.do(ctx, func(ctx context.Context, c *client.Client) error {
		part, err = c.ContentStore().ReaderAt(ctx, ocispec.Descriptor{Digest: d})
		return err
	})
	if errdefs.IsNotFound(err) {
		err = runtime.ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s: %w", name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(part, offset, max(0, part.Size()-offset)), part}, part.Size(), nil
}

func partOfFile(path string, offset int64) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("blob %s: %w", filepath.Base(path), runtime.ErrNotFound)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
