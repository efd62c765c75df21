package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Remote reads a peer's blobs on the strength of one lease, or of none. Its methods may be
// used concurrently; some streams are kept between requests.
type Remote struct {
	h     *p2p.Host
	peer  peer.ID
	lease []byte

	mu     sync.Mutex
	idle   []*stream.Conn
	closed bool
	waited bool // for a direct connection
}

// maxIdle is how many streams are kept between requests: as many as are asked at once.
const maxIdle = 2

// Source makes a Remote. It connects when first used. Without a lease it reads what the
// peer gives to anybody.
func Source(h *p2p.Host, from peer.ID, leaseID []byte) *Remote {
	return &Remote{h: h, peer: from, lease: slices.Clone(leaseID)}
}

// Blob reads content from an offset on. Errors are ErrUnknown, ErrRange, and
// those of p2p/stream; a read that breaks off can be continued by another Blob
// at the offset it came to. Close the reader; ctx covers the reading too.
// Content is not checked against its digest here: Fetch does.
func (r *Remote) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	body, err := r.Range(ctx, digest, offset, 0)
	if err != nil {
		return nil, err // not a nil Body
	}
	return body, nil
}

// Body is the content of one answer.
type Body interface {
	io.ReadCloser
	// Size is the length of the whole blob in bytes, as the peer has it.
	Size() int64
}

// Range is Blob for at most length bytes, or for all when that is 0.
func (r *Remote) Range(ctx context.Context, digest string, offset, length int64) (Body, error) {
	if err := Check(digest); err != nil {
		return nil, err
	}
	if offset < 0 || length < 0 {
		return nil, ErrRange
	}
	req := &leasev1.BlobRequest{LeaseId: r.lease, Digest: digest, Offset: uint64(offset), Length: uint64(length)}
	if c := r.take(); c != nil {
		body, err := r.request(ctx, c, req)
		if err == nil || final(err) || ctx.Err() != nil {
			return body, err
		}
		// The kept stream was stale. A new one says how things are.
	}
	r.preferDirect(ctx)
	c, err := stream.OpenLimited(ctx, r.h, r.peer, protocolName, limits)
	if err != nil {
		return nil, err
	}
	return r.request(ctx, c, req)
}

// directWait is how long content waits for the two sides to get around a relay.
const directWait = 5 * time.Second

// preferDirect waits for a direct connection the first time that only a relay leads
// to the peer. Bulk is what relays have little to give for.
func (r *Remote) preferDirect(ctx context.Context) {
	r.mu.Lock()
	waited := r.waited
	r.waited = true
	r.mu.Unlock()
	if waited {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	if r.h.Connect(ctx, r.peer) == nil {
		r.h.AwaitDirect(ctx, r.peer)
	}
}

// final are answers, as opposed to accidents.
func final(err error) bool {
	return errors.Is(err, ErrUnknown) || errors.Is(err, ErrRange)
}

func (r *Remote) request(ctx context.Context, c *stream.Conn, req *leasev1.BlobRequest) (Body, error) {
	stop := context.AfterFunc(ctx, c.Reset)
	size, err := r.ask(c, req)
	if err != nil {
		switch {
		case !stop() || !final(err):
			c.Reset()
		case errors.Is(err, ErrUnknown): // the other side keeps it no longer
			_ = c.Close()
		default:
			r.keep(c)
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("blob %s from %s: %w", req.Digest, r.peer, err)
	}
	return &body{ctx: ctx, r: r, c: c, stop: stop, left: part(req, size), size: size}, nil
}

// part is how much of a blob of that size a request is for. The offset is not beyond its end.
func part(req *leasev1.BlobRequest, size int64) int64 {
	rest := uint64(size) - req.GetOffset()
	if n := req.GetLength(); n > 0 {
		rest = min(rest, n)
	}
	return int64(rest)
}

func (r *Remote) ask(c *stream.Conn, req *leasev1.BlobRequest) (int64, error) {
	if err := c.Send(req); err != nil {
		return 0, err
	}
	var f leasev1.BlobFrame
	if err := c.Recv(&f); err != nil {
		return 0, noEOF(err)
	}
	switch v := f.GetFrame().(type) {
	case *leasev1.BlobFrame_Error:
		return 0, fromCode(v.Error)
	case *leasev1.BlobFrame_SizeBytes:
		if v.SizeBytes > math.MaxInt64 || v.SizeBytes < req.Offset {
			return 0, fmt.Errorf("%w: size %d", stream.ErrMalformed, v.SizeBytes)
		}
		return int64(v.SizeBytes), nil
	}
	return 0, fmt.Errorf("%w: neither size nor error", stream.ErrMalformed)
}

// Close ends the kept streams. Readers in use are not touched.
func (r *Remote) Close() error {
	r.mu.Lock()
	idle := r.idle
	r.idle, r.closed = nil, true
	r.mu.Unlock()
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (r *Remote) take() *stream.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := len(r.idle); n > 0; n = len(r.idle) {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		if !r.overtaken(c) {
			return c
		}
		_ = c.Close()
	}
	return nil
}

// overtaken says whether a stream runs through a relay though there is a direct
// connection by now, which a new one would take.
func (r *Remote) overtaken(c *stream.Conn) bool { return c.Limited() && r.h.Direct(r.peer) }

// keep holds on to a stream; requests made meanwhile may have opened too many.
func (r *Remote) keep(c *stream.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.idle) < maxIdle && !r.closed {
		r.idle = append(r.idle, c)
		return
	}
	_ = c.Close()
}

// noEOF: between request and answer the end of the stream is an accident.
func noEOF(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: %w", stream.ErrReset, io.ErrUnexpectedEOF)
	}
	return err
}
