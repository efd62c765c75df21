package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

// sizeTimeout is how long a server may take to say how large a file is.
const sizeTimeout = 30 * time.Second

// onTheWeb says whether an input is named by its URL.
func (in input) onTheWeb() bool {
	return strings.HasPrefix(in.from, "http://") || strings.HasPrefix(in.from, "https://")
}

// url splits "https://…@sha256:…" into the URL and the digest, which may be missing.
func (in input) url() (url, digest string) {
	if at := strings.LastIndex(in.from, "@sha256:"); at > 0 {
		return in.from[:at], in.from[at+1:]
	}
	return in.from, ""
}

func (in input) checkURL() error {
	url, digest := in.url()
	if digest != "" {
		if err := blob.Check(digest); err != nil {
			return fmt.Errorf("input %s: %w", in.from, err)
		}
	}
	return publicnet.CheckURL(url)
}

// addURL adds a file of the web. With a digest the worker fetches it and this machine only asks
// how large it is; without, it is fetched here, so that everybody gets the same.
func (c *cargo) addURL(ctx context.Context, in input) error {
	url, digest := in.url()
	e := &marketv1.Entry{Path: job.InputFile, Mode: 0o644, Digest: digest, Url: url}
	var err error
	if digest != "" {
		e.SizeBytes, err = webSize(ctx, url)
	} else {
		err = c.download(ctx, url, e)
	}
	if err != nil {
		return err
	}
	packed, err := tree.PackEntry(ctx, e, cargoSink{c})
	if err != nil {
		return err
	}
	c.inputs = append(c.inputs, &marketv1.Input{Manifest: packed.Manifest, Path: in.path, ReadOnly: in.readOnly, File: true, TotalBytes: packed.Bytes})
	return nil
}

// webSize asks a server how large a file is.
func webSize(ctx context.Context, url string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, sizeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	case resp.ContentLength < 0:
		return 0, hint(fmt.Errorf("%s does not say how large it is", req.URL.Host), "leave the digest away: then the file is fetched here first")
	}
	return uint64(resp.ContentLength), nil
}

// download fetches a file into one that is removed with the cargo, and says what it is.
func (c *cargo) download(ctx context.Context, url string, e *marketv1.Entry) error {
	body, err := publicnet.Get(ctx, http.DefaultClient, url, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.CreateTemp("", "rigmesh-input-*")
	if err != nil {
		return err
	}
	c.closes = append(c.closes, removed{f})
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), body)
	if err != nil {
		return err
	}
	e.SizeBytes, e.Digest = uint64(n), blob.FromSum(sum.Sum(nil))
	c.add(e.Digest, part{handing, n, func() (io.ReadCloser, error) { return os.Open(f.Name()) }})
	return nil
}

// removed is a file that goes when it is closed.
type removed struct{ *os.File }

func (r removed) Close() error { return errors.Join(r.File.Close(), os.Remove(r.Name())) }
