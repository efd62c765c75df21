package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// cargo is everything a job needs from this machine: named by digest, opened when
// the node lacks it.
type cargo struct {
	image  *marketv1.Image
	inputs []*marketv1.Input

	order  []string // digests, each once
	parts  map[string]part
	closes []io.Closer
}

// part is the content of one digest.
type part struct {
	what string // is done when it is brought to the node: handing, or a download
	size int64
	open func() (io.ReadCloser, error)
}

// handing is how a part gets to the node that lies on this machine.
const handing = "handing content to the node"

// load reads the image's table of contents and the inputs. Whatever is wrong with
// them is found here, before anybody was asked for anything.
func load(ctx context.Context, ref, platform string, inputs []input) (*cargo, error) {
	c := &cargo{parts: map[string]part{}}
	if err := c.addImage(ctx, ref, platform); err != nil {
		c.Close()
		return nil, err
	}
	for _, in := range inputs {
		if err := c.addInput(ctx, in); err != nil {
			c.Close()
			return nil, fmt.Errorf("input %s: %w", in.from, err)
		}
	}
	return c, nil
}

// Close closes the files.
func (c *cargo) Close() {
	for _, f := range c.closes {
		_ = f.Close()
	}
}

func (c *cargo) addInput(ctx context.Context, in input) error {
	if in.onTheWeb() {
		return c.addURL(ctx, in)
	}
	if in.shared() {
		c.addShared(in)
		return nil
	}
	if isFile(in.from) {
		return c.addFile(ctx, in)
	}
	return c.addFolder(ctx, in)
}

// addFile adds one file. A task cannot write it: nothing of the task's own lies below it.
func (c *cargo) addFile(ctx context.Context, in input) error {
	file, err := filepath.EvalSymlinks(in.from)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	c.closes = append(c.closes, root)
	packed, err := tree.PackFile(ctx, root, filepath.Base(file), job.InputFile, cargoSink{c})
	if err != nil {
		return err
	}
	c.inputs = append(c.inputs, &marketv1.Input{Manifest: packed.Manifest, Path: in.path, ReadOnly: in.readOnly, File: true, TotalBytes: packed.Bytes})
	return nil
}

func (c *cargo) addFolder(ctx context.Context, in input) error {
	root, err := os.OpenRoot(in.from)
	if err != nil {
		return err
	}
	c.closes = append(c.closes, root) // its files are opened again when they are sent
	packed, err := tree.Pack(ctx, root, cargoSink{c}, tree.PackOptions{})
	if err != nil {
		return err
	}
	c.inputs = append(c.inputs, &marketv1.Input{
		Manifest: packed.Manifest, Path: in.path, ReadOnly: in.readOnly, TotalBytes: packed.Bytes,
	})
	return nil
}

func (c *cargo) add(digest string, p part) {
	if _, known := c.parts[digest]; !known {
		c.order = append(c.order, digest)
		c.parts[digest] = p
	}
}

// cargoSink takes what tree.Pack finds, without reading it a second time.
type cargoSink struct{ *cargo }

// Has implements tree.Sink.
func (s cargoSink) Has(digest string) bool { _, ok := s.parts[digest]; return ok }

// Put implements tree.Sink.
func (s cargoSink) Put(_ context.Context, digest string, size int64, open func() (io.ReadCloser, error)) error {
	s.add(digest, part{handing, size, open})
	return nil
}

// send brings to the node what it lacks, and tells progress how far each kind of part is,
// in bytes.
func (c *cargo) send(ctx context.Context, client *control.Client, progress func(what string, done, total int64)) error {
	missing, err := client.MissingBlobs(ctx, c.order)
	if err != nil {
		return err
	}
	done, total := map[string]int64{}, map[string]int64{}
	for _, d := range missing {
		total[c.parts[d].what] += c.parts[d].size
	}
	for _, d := range missing {
		what := c.parts[d].what
		sent := func(n int) {
			done[what] += int64(n)
			progress(what, done[what], total[what])
		}
		if err := c.sendOne(ctx, client, d, sent); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (c *cargo) sendOne(ctx context.Context, client *control.Client, digest string, sent func(n int)) error {
	r, err := c.parts[digest].open()
	if err != nil {
		return err
	}
	err = client.PutBlob(ctx, digest, countingReader{r, sent})
	return errors.Join(err, r.Close())
}

// countingReader tells how much was read.
type countingReader struct {
	io.Reader
	read func(n int)
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read(n)
	return n, err
}
