package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// Blobs is where content can be read: a Remote, a Store.
type Blobs interface {
	Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error)
}

const (
	fruitless  = 3 // attempts in a row that bring nothing, and we give up
	firstPause = 200 * time.Millisecond
)

// Fetch brings a blob into the store, or finds it there: then Sweep spares it for as long as a new one. It continues what an
// earlier Fetch left, and goes on after losses as long as every few attempts
// bring something. Errors: ErrUnknown, ErrDigest, ErrNoSpace, the network's.
func Fetch(ctx context.Context, src Blobs, digest string, store *Store) error {
	return FetchAtMost(ctx, src, digest, store, 0)
}

// FetchAtMost is Fetch for content of at most limit bytes; more is ErrTooLarge.
// 0 is no limit.
func FetchAtMost(ctx context.Context, src Blobs, digest string, store *Store, limit int64) error {
	w, err := store.Writer(ctx, digest)
	if errors.Is(err, ErrExists) {
		return store.Touch(digest)
	}
	if err != nil {
		return err
	}
	defer w.Close()
	resumed := w.Offset() > 0
	err = fetch(ctx, src, w, limit)
	if resumed && (errors.Is(err, ErrDigest) || errors.Is(err, ErrRange)) {
		// What an earlier attempt left was wrong, as after a power cut.
		if err = w.Restart(); err == nil {
			err = fetch(ctx, src, w, limit)
		}
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", digest, err)
	}
	return nil
}

func fetch(ctx context.Context, src Blobs, w *Writer, limit int64) error {
	if err := transfer(ctx, src, w.digest, w, limit); err != nil {
		return err
	}
	return w.Commit()
}

// Copy writes a blob of at most limit bytes (0: no limit) to w and goes on
// after losses as Fetch does. ErrDigest comes at the end only: what was written
// must then not be used.
func Copy(ctx context.Context, src Blobs, digest string, w io.Writer, limit int64) (int64, error) {
	sum := &summed{w: w, sum: sha256.New()}
	if err := transfer(ctx, src, digest, sum, limit); err != nil {
		return sum.n, fmt.Errorf("read %s: %w", digest, err)
	}
	if got := FromSum(sum.sum.Sum(nil)); got != digest {
		return sum.n, fmt.Errorf("%w: want %s, got %s", ErrDigest, digest, got)
	}
	return sum.n, nil
}

// target takes content and knows how far it got.
type target interface {
	io.Writer
	Offset() int64
}

type summed struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (s *summed) Offset() int64 { return s.n }

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// transfer copies until the content is whole, from where to stands.
func transfer(ctx context.Context, src Blobs, digest string, to target, limit int64) error {
	failures, pause := 0, firstPause
	for {
		before := to.Offset()
		err := copyOnce(ctx, src, digest, to, limit)
		if err == nil || lasting(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failures++
		if to.Offset() > before {
			failures, pause = 0, firstPause
		}
		if failures == fruitless {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func copyOnce(ctx context.Context, src Blobs, digest string, to target, limit int64) error {
	r, err := src.Blob(ctx, digest, to.Offset())
	if err != nil {
		return err
	}
	defer r.Close()
	var from io.Reader = r
	if limit > 0 {
		if s, ok := r.(interface{ Size() int64 }); ok && s.Size() > limit {
			return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, s.Size(), limit)
		} else if !ok {
			from = io.LimitReader(r, limit-to.Offset()+1)
		}
	}
	if _, err := io.Copy(struct{ io.Writer }{to}, from); err != nil {
		return noSpace(err)
	}
	if limit > 0 && to.Offset() > limit {
		return fmt.Errorf("%w: at most %d bytes", ErrTooLarge, limit)
	}
	return nil
}

// lasting are errors that another attempt would meet again.
func lasting(err error) bool {
	for _, e := range []error{ErrUnknown, ErrRange, ErrNoSpace, ErrTooLarge, ErrDigest} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
