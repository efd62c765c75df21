//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	bulkMiB    = 512
	bulkRounds = 3
	rawName    = protocol.ID("/rigmesh-bench/raw/1")
)

// bulk measures content from one peer to another, against a bare stream between the
// same two hosts whose receiver hashes and writes too.
func (b *bench) bulk(ctx context.Context) (section, error) {
	progress("%d MiB from one peer to another, %d times each way", bulkMiB, bulkRounds)
	dir := b.lab.Path("input")
	file, err := randomFile(dir, bulkMiB<<20)
	if err != nil {
		return section{}, err
	}
	link, err := newLink(ctx, b.lab.Path("bulk"), file)
	if err != nil {
		return section{}, err
	}
	defer link.close()
	input, err := b.handIn(ctx, dir)
	if err != nil {
		return section{}, err
	}
	if err := link.join(ctx); err != nil {
		return section{}, err
	}
	var raw, blobs, inputs, layer, layers, slow, slows samples
	for range bulkRounds {
		for _, way := range []struct {
			into *samples
			once func(context.Context) (time.Duration, error)
		}{
			{&raw, link.raw}, {&blobs, link.blob}, {&layer, link.layer(link.peers[:1])}, {&layers, link.layer(link.peers)},
			{&slow, link.layer(link.bound[:1])}, {&slows, link.layer(link.bound)},
			{&inputs, func(ctx context.Context) (time.Duration, error) { return b.inputPhase(ctx, input) }},
		} {
			took, err := way.once(ctx)
			if err != nil {
				return section{}, err
			}
			*way.into = append(*way.into, bulkMiB/took.Seconds())
		}
	}
	return section{
		title: "Bulk",
		notes: fmt.Sprintf("%d MiB over loopback, %s.", bulkMiB, link.security),
		rows: []row{
			plain("**floor**: one bare libp2p stream, receiver hashes, writes and syncs", raw, "MiB/s", limit{}),
			against("a blob into another peer's store", blobs, "MiB/s", raw, atLeast(0.9, "≥ 0.9 × floor")),
			against("a layer of a public image from one other worker", layer, "MiB/s", raw, atLeast(0.9, "≥ 0.9 × floor")),
			against(fmt.Sprintf("a layer of a public image from %d at once", crowdSize), layers, "MiB/s", raw, limit{}),
			plain(fmt.Sprintf("a layer from one whose upload-max is %d MiB/s", bound), slow, "MiB/s", limit{}),
			against(fmt.Sprintf("a layer from %d such at once", crowdSize), slows, "MiB/s", slow, atLeast(2, "≥ 2 × one")),
			against("a job's input, from lease to unpacked on the worker", inputs, "MiB/s", raw, limit{}),
		},
	}, nil
}

func randomFile(dir string, size int64) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "random")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	return path, errors.Join(err, f.Close())
}

// link is two hosts, one of which has a file to give.
type link struct {
	from, to *p2p.Host
	store    *blob.Store // from's
	peers    []*p2p.Host // from and others that have the file too
	bound    []*p2p.Host // that have it too, and give it at so much a second
	dir      string
	file     string
	digest   string
	security string
	n        int
}

func newLink(ctx context.Context, dir, file string) (*link, error) {
	l := &link{dir: dir, file: file}
	var err error
	if l.from, _, err = newHost(); err != nil {
		return nil, err
	}
	if l.to, _, err = newHost(); err != nil {
		return nil, err
	}
	if _, err := l.to.ConnectAddr(ctx, l.from.Addrs()[0]); err != nil {
		return nil, err
	}
	conn := l.to.Libp2p().Network().ConnsToPeer(l.from.ID())[0]
	l.security = fmt.Sprintf("%s and %s", conn.ConnState().Transport, conn.ConnState().Security)
	l.from.Libp2p().SetStreamHandler(rawName, l.give)
	store, err := blob.Open(filepath.Join(dir, "from"))
	if err != nil {
		return nil, err
	}
	l.store = store
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	l.digest = blob.FromSum(sum.Sum(nil))
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if err := store.Put(ctx, l.digest, f); err != nil {
		return nil, err
	}
	blob.Serve(l.from, store, func(peer.ID, []byte, string) bool { return true }, nil)
	return l, nil
}

func (l *link) close() {
	_ = l.to.Close()
	_ = l.from.Close()
	for _, h := range append(l.peers, l.bound...) {
		_ = h.Close() // from twice, which is no harm
	}
}

// give sends the whole file to whoever opens a stream.
func (l *link) give(s network.Stream) {
	defer s.Close()
	f, err := os.Open(l.file)
	if err != nil {
		_ = s.Reset()
		return
	}
	defer f.Close()
	_, _ = io.CopyBuffer(struct{ io.Writer }{s}, f, make([]byte, 128<<10))
}

func (l *link) raw(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	s, err := l.to.Libp2p().NewStream(ctx, l.from.ID(), rawName)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return l.receive(began, s)
}

// receive hashes and writes what comes, and syncs it.
func (l *link) receive(began time.Time, s io.Reader) (time.Duration, error) {
	path := filepath.Join(l.dir, "raw")
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	sum := sha256.New()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, sum)}, s, make([]byte, 128<<10))
	err = errors.Join(err, f.Sync(), f.Close())
	took := time.Since(began)
	if got := blob.FromSum(sum.Sum(nil)); err == nil && got != l.digest {
		err = fmt.Errorf("%s came instead of %s", got, l.digest)
	}
	return took, err
}

func (l *link) blob(ctx context.Context) (time.Duration, error) {
	l.n++
	dir := filepath.Join(l.dir, fmt.Sprintf("to%d", l.n))
	store, err := blob.Open(dir)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	source := blob.Source(l.to, l.from.ID(), nil)
	defer source.Close()
	began := time.Now()
	err = blob.Fetch(ctx, source, l.digest, store)
	return time.Since(began), err
}

// handIn gives a folder to the requester, as `rigmesh run -v` does.
func (b *bench) handIn(ctx context.Context, dir string) (*marketv1.Input, error) {
	packed, err := tree.PackDir(ctx, dir, sink{b.pair}, tree.PackOptions{})
	if err != nil {
		return nil, err
	}
	return &marketv1.Input{Manifest: packed.Manifest, Path: "/in", ReadOnly: true, TotalBytes: packed.Bytes}, nil
}

// sink is the requester's store, over its control socket.
type sink struct{ p *pair }

// Has implements tree.Sink.
func (sink) Has(string) bool { return false }

// Put implements tree.Sink.
func (s sink) Put(ctx context.Context, digest string, _ int64, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	return errors.Join(s.p.client.PutBlob(ctx, digest, r), r.Close())
}

// inputPhase runs a job with an input and says how long that took to arrive.
func (b *bench) inputPhase(ctx context.Context, input *marketv1.Input) (time.Duration, error) {
	sub := b.pair.submission("true")
	sub.Spec.Inputs = []*marketv1.Input{input}
	o, err := b.pair.run(ctx, sub)
	if err != nil {
		return 0, err
	}
	var leased, running int64
	for _, e := range o.events {
		switch {
		case e.GetLease() != nil:
			leased = e.AtMs
		case e.GetProgress().GetPhase() == leasev1.Phase_PHASE_STARTING:
			running = e.AtMs
		}
	}
	if leased == 0 || running <= leased {
		return 0, fmt.Errorf("job %s did not tell when its input came", o.job)
	}
	return time.Duration(running-leased) * time.Millisecond, nil
}
