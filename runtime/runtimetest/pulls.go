package runtimetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

func notPulled(t *testing.T, h Harness) {
	image, _ := h.NewImage(t)
	err := h.Runtime.Start(t.Context(), runtime.Spec{ID: "not-pulled", Image: image, Command: h.Command([]string{"exit 0"})})
	is(t, err, runtime.ErrImage)
	_, err = h.Runtime.Status(t.Context(), "not-pulled")
	is(t, err, runtime.ErrNotFound)
}

func resumesPull(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	var total int64
	whole := func(done, of int64) {
		if done > of {
			t.Errorf("progress %d of %d", done, of)
		}
		total = of
	}
	cut := &meter{src: blobs, left: image.Size + 2000}
	if err := h.Runtime.Pull(t.Context(), image, cut, whole); !errors.Is(err, errCut) {
		t.Fatalf("pull with a cut: %v", err)
	}
	h.Runtime = h.Reopen(t)
	rest := &meter{src: blobs, left: 1 << 40}
	if err := h.Runtime.Pull(t.Context(), image, rest, whole); err != nil {
		t.Fatal(err)
	}
	if cut.served == 0 || cut.served+rest.served > total+image.Size {
		t.Errorf("fetched %d and then %d bytes of %d", cut.served, rest.served, total)
	}
	again := &meter{src: blobs}
	if err := h.Runtime.Pull(t.Context(), image, again, nil); err != nil {
		t.Errorf("pull of what is here: %v", err)
	}
	equal(t, "bytes of the third pull", again.served, 0)
}

func wrongDigest(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	is(t, h.Runtime.Pull(t.Context(), image, liar{blobs, image.Digest}, nil), runtime.ErrImage)
	if err := h.Runtime.Pull(t.Context(), image, blobs, nil); err != nil {
		t.Errorf("an honest source afterwards: %v", err)
	}
}

func pullsTogether(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	errs := make(chan error)
	for range 4 {
		go func() { errs <- h.Runtime.Pull(t.Context(), image, blobs, nil) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Errorf("one of four pulls at once: %v", err)
		}
	}
}

// forgets shows an image come, stay while it is wanted, and go.
func forgets(t *testing.T, h Harness) {
	store, ok := h.Runtime.(runtime.Images)
	if !ok {
		t.Skip("this runtime's images cannot be looked at")
	}
	image, blobs := h.NewImage(t)
	for range 2 {
		if err := h.Runtime.Pull(t.Context(), image, blobs, nil); err != nil {
			t.Fatal(err)
		}
		if size := keptSize(t, store, image); size < image.Size {
			t.Errorf("the image takes %d bytes here", size)
		}
		if all, err := store.Blobs(t.Context(), ""); err != nil || all[image.Digest] != image.Size {
			t.Errorf("among the blobs here it has %d bytes, %v", all[image.Digest], err)
		}
		if r, size, err := store.Part(t.Context(), image.Digest, 3); err != nil || size != image.Size {
			t.Errorf("a part of the image: %d bytes, %v", size, err)
		} else if rest, err := io.ReadAll(r); err != nil || int64(len(rest)) != size-3 || r.Close() != nil {
			t.Errorf("%d bytes of it, %v", len(rest), err)
		}
		if have, total := store.Held(t.Context(), image); have != total || total == 0 {
			t.Errorf("%d of %d bytes are here", have, total)
		}
		if gone, err := store.Forget(t.Context(), image, func() bool { return true }); gone || err != nil {
			t.Errorf("a wanted image is gone: %v, %v", gone, err)
		}
		if gone, err := store.Forget(t.Context(), image, func() bool { return false }); !gone || err != nil {
			t.Errorf("an image nobody wants is gone: %v, %v", gone, err)
		}
		equal(t, "bytes of what is gone", keptSize(t, store, image), 0)
	}
	_, _, err := store.Part(t.Context(), image.Digest, 0)
	is(t, err, runtime.ErrNotFound)
	is(t, h.Runtime.Start(t.Context(), runtime.Spec{ID: "forgotten", Image: image, Command: h.Command([]string{"exit 0"})}), runtime.ErrImage)
	if err := h.Runtime.Pull(t.Context(), h.Image, nowhere{}, nil); err != nil {
		t.Errorf("another image went with it: %v", err)
	}
}

// nowhere is a source that must not be asked.
type nowhere struct{}

func (nowhere) Blob(context.Context, string, int64) (io.ReadCloser, error) {
	return nil, errors.New("asked for a blob")
}

// keptSize is what a runtime says an image takes; 0 when it has no such image.
func keptSize(t *testing.T, store runtime.Images, image runtime.Image) (size int64) {
	t.Helper()
	all, err := store.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if k.Image.Digest == image.Digest {
			for _, n := range k.Parts {
				size += n
			}
		}
	}
	return size
}

var errCut = errors.New("cut")

// meter counts what it serves and fails after so many bytes.
type meter struct {
	src          runtime.BlobSource
	left, served int64
}

func (m *meter) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	r, err := m.src.Blob(ctx, digest, offset)
	if err != nil {
		return nil, err
	}
	return &metered{r, m}, nil
}

type metered struct {
	io.ReadCloser
	m *meter
}

func (r *metered) Read(p []byte) (int, error) {
	if r.m.left <= 0 {
		return 0, errCut
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.m.left)])
	r.m.left -= int64(n)
	r.m.served += int64(n)
	return n, err
}

// liar changes every byte of all blobs but the first.
type liar struct {
	src    runtime.BlobSource
	honest string
}

func (l liar) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	r, err := l.src.Blob(ctx, digest, offset)
	if err != nil || digest == l.honest {
		return r, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(strings.Repeat("x", len(b)))), nil
}
