package runtime

import (
	"context"
	"io"
	"time"
)

// Kept is an image that a runtime has here, or what it has of images that are not whole.
type Kept struct {
	Image Image            // the zero value: parts of images that no pull has finished
	Used  time.Time        // when it was last made ready to run
	Parts map[string]int64 // what it is made of here, in bytes, by name; images share parts
}

// Images is a runtime whose images can be looked at, and let go of.
type Images interface {
	// Images lists what is here.
	Images(ctx context.Context) ([]Kept, error)
	// Forget lets go of an image, unless it is being pulled or busy says that it is wanted.
	// busy is asked when no pull of the image can end before Forget does. It says whether the
	// image is gone; one that is not here is.
	Forget(ctx context.Context, image Image, busy func() bool) (bool, error)
	// Part reads a blob of an image that is here, from an offset on, and gives its size.
	// ErrNotFound.
	Part(ctx context.Context, digest string, offset int64) (r io.ReadCloser, size int64, err error)
	// Blobs tells the sizes of all whole blobs that are here for somebody (Image.For), of whatever
	// image, by digest.
	Blobs(ctx context.Context, who string) (map[string]int64, error)
	// Held says how many bytes of an image are here for whoever it is for and how many there are
	// in all. The total is zero while that cannot be told.
	Held(ctx context.Context, image Image) (have, total int64)
}
