package runtimetest

import (
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

// onlyForHolders shows that a digest is no right to what it is of.
func onlyForHolders(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	all := h.pull(t, image, "owner", blobs)
	h.Runtime = h.Reopen(t)
	h.lacks(t, image, "stranger")
	is(t, h.Runtime.Pull(t.Context(), imageFor(image, "liar"), liar{blobs, image.Digest}, nil), runtime.ErrImage)
	h.refused(t, image, "liar")
	equal(t, "bytes from somebody else who has it", h.pull(t, image, "friend", blobs), all)
	for _, who := range []string{"owner", "friend"} {
		equal(t, "bytes from "+who+" once more", h.pull(t, image, who, blobs), 0)
	}
	h.lacks(t, image, "stranger")
}

// noCommonParts shows that who goes on with a pull is who began it.
func noCommonParts(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	cut := &meter{src: blobs, left: image.Size + 2000}
	is(t, h.Runtime.Pull(t.Context(), imageFor(image, "beginner"), cut, nil), errCut)
	all := h.pull(t, image, "other", blobs)
	rest := h.pull(t, image, "beginner", blobs)
	if cut.served == 0 || cut.served+rest != all {
		t.Errorf("the beginner gave %d bytes and then %d, and another in between %d", cut.served, rest, all)
	}
}

// forEverybody shows an image that nobody but the first need give.
func forEverybody(t *testing.T, h Harness) {
	image, blobs := h.NewImage(t)
	if err := h.Runtime.Pull(t.Context(), imageFor(image, "first"), everybodys{blobs}, nil); err != nil {
		t.Fatal(err)
	}
	equal(t, "bytes from the second", h.pull(t, image, "second", nowhere{}), 0)
	if store, ok := h.Runtime.(runtime.Images); ok {
		if have, total := store.Held(t.Context(), imageFor(image, "third")); have != total || total == 0 {
			t.Errorf("%d of %d bytes are here for the third", have, total)
		}
	}
}

// everybodys is a source of what anybody gets.
type everybodys struct{ runtime.BlobSource }

func (everybodys) Public(string) bool { return true }

// imageFor is an image for somebody.
func imageFor(image runtime.Image, who string) runtime.Image {
	image.For = who
	return image
}

// pull pulls an image for somebody and says how many bytes that took.
func (h Harness) pull(t *testing.T, image runtime.Image, who string, src runtime.BlobSource) int64 {
	t.Helper()
	m := &meter{src: src, left: 1 << 40}
	if err := h.Runtime.Pull(t.Context(), imageFor(image, who), m, nil); err != nil {
		t.Fatalf("pull for %s: %v", who, err)
	}
	return m.served
}

// lacks checks that there is nothing of an image for somebody who gave nothing of it.
func (h Harness) lacks(t *testing.T, image runtime.Image, who string) {
	t.Helper()
	h.refused(t, image, who)
	store, ok := h.Runtime.(runtime.Images)
	if !ok {
		return
	}
	if have, total := store.Held(t.Context(), imageFor(image, who)); have != 0 {
		t.Errorf("%d of %d bytes are here for %s", have, total, who)
	}
	if all, err := store.Blobs(t.Context(), who); err != nil || all[image.Digest] != 0 {
		t.Errorf("it is among the blobs for %s: %v", who, err)
	}
}

// refused checks that somebody who does not give all of an image cannot run it.
func (h Harness) refused(t *testing.T, image runtime.Image, who string) {
	t.Helper()
	image = imageFor(image, who)
	if err := h.Runtime.Pull(t.Context(), image, nowhere{}, nil); err == nil {
		t.Errorf("%s gets the image for its digest", who)
	}
	is(t, h.Runtime.Start(t.Context(), runtime.Spec{ID: "of-" + who, Image: image, Command: h.Command([]string{"exit 0"})}), runtime.ErrImage)
}
