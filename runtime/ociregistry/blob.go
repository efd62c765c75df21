package ociregistry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/runtime/oci"
)

var errRange = errors.New("it answers with another part of the blob than asked for")

// blob reads one blob from an offset on. The registry is asked at the first Read.
func (c *client) blob(ctx context.Context, digest string, offset, size int64) *download {
	d := &download{
		digest: digest, host: c.ref.host, offset: offset, size: size,
		open:    func(offset int64) (io.ReadCloser, error) { return c.rest(ctx, "blobs/"+digest, offset) },
		wait:    func(d time.Duration) error { return wait(ctx, d) },
		explain: c.explain,
	}
	if offset == 0 {
		d.sum = sha256.New()
	}
	return d
}

// rest asks once for a blob ("blobs/sha256:…") or a manifest from an offset on.
func (c *client) rest(ctx context.Context, what string, offset int64) (io.ReadCloser, error) {
	header := http.Header{"Accept-Encoding": {"identity"}, "Accept": append(oci.DocumentTypes(), "*/*")}
	if offset > 0 && strings.HasPrefix(what, "blobs/") { // registries give manifests whole
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := c.get(ctx, what, header)
	if err != nil {
		return nil, err
	}
	skip := offset
	if resp.StatusCode == http.StatusPartialContent {
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
			_ = resp.Body.Close()
			return nil, errRange
		}
		skip = 0
	}
	if _, err := io.CopyN(io.Discard, resp.Body, skip); err != nil { // it does not know ranges
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// download is a blob on its way. It is for one goroutine.
type download struct {
	digest, host string
	offset, size int64
	sum          hash.Hash // of all that was read; nil when that did not begin at the beginning

	open    func(offset int64) (io.ReadCloser, error)
	wait    func(time.Duration) error
	explain func(error) error

	body     io.ReadCloser // nil between two connections
	failures int           // since the last byte
	end      error         // what every further Read says
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	for d.end == nil {
		if d.offset == d.size {
			d.end = d.verdict()
			break
		}
		n, err := d.some(p)
		if n > 0 || len(p) == 0 {
			return n, nil // what there is to say about err is said when nothing more comes
		}
		if err != nil {
			d.end = d.again(err)
		}
	}
	return 0, d.end
}

// some reads from the connection there is, or from a new one.
func (d *download) some(p []byte) (int, error) {
	if d.body == nil {
		body, err := d.open(d.offset)
		if err != nil {
			return 0, err
		}
		d.body = body
	}
	n, err := d.body.Read(p[:min(int64(len(p)), d.size-d.offset)])
	if n > 0 {
		d.failures = 0
		d.offset += int64(n)
		if d.sum != nil {
			d.sum.Write(p[:n])
		}
	}
	return n, err
}

// again decides whether to go on after an error.
func (d *download) again(err error) error {
	_ = d.Close()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if d.failures == len(delays) || lasting(err) {
		return fmt.Errorf("blob %s at byte %d of %d: %w", d.digest, d.offset, d.size, d.explain(err))
	}
	d.failures++
	return d.wait(delays[d.failures-1])
}

// verdict is how a blob ends that was read to its last byte.
func (d *download) verdict() error {
	if d.sum == nil {
		return io.EOF
	}
	if got := "sha256:" + hex.EncodeToString(d.sum.Sum(nil)); got != d.digest {
		return fmt.Errorf("%w: registry %s sends %s as %s", ErrDigest, d.host, got, d.digest)
	}
	return io.EOF
}

// Close implements io.Closer.
func (d *download) Close() error {
	if d.body == nil {
		return nil
	}
	body := d.body
	d.body = nil
	return body.Close()
}
