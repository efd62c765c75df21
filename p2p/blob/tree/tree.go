// Package tree turns a folder into blobs and a manifest, and back.
//
// A manifest lists regular files, folders and symbolic links, sorted by path.
// Links are data: they are never followed, neither when reading a folder nor
// when making one. Whoever wrote the folder or the manifest is not trusted.
package tree

import (
	"context"
	"errors"
	"io"

	"github.com/rigmesh/rigmesh/p2p/blob"
)

var (
	// ErrKind says that a folder holds something that is neither file, folder
	// nor link: a socket, a pipe, a device.
	ErrKind = errors.New("not a file, folder or link")
	// ErrTooMuch says that a folder or manifest exceeds its limits.
	ErrTooMuch = errors.New("folder exceeds the limits")
	// ErrManifest says that a manifest is not one that Pack would write.
	ErrManifest = errors.New("bad manifest")
	// ErrChanged says that a file changed while it was read.
	ErrChanged = errors.New("file changed while it was read")
	// ErrWeb says that neither the web nor the source gave a file.
	ErrWeb = errors.New("the web does not give it either")
	// ErrNotEmpty says that a folder to unpack into holds something already.
	ErrNotEmpty = errors.New("folder is not empty")
)

// Limits bound one tree. Zero fields take the defaults.
type Limits struct {
	Entries int    // files, folders and links; 100,000
	Bytes   uint64 // of all files together; 1 TiB
}

// MaxManifest bounds the manifest of a tree, in bytes.
const MaxManifest = 64 << 20

const (
	maxPath   = 4096
	maxName   = 255
	maxURL    = 2048
	maxListed = 100 // names in a list meant for people
)

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 40
	}
	return l
}

// Sink takes the blobs of a packed folder.
type Sink interface {
	// Has says that the blob need not be put.
	Has(digest string) bool
	// Put takes a blob. It may call open more than once, or never.
	Put(ctx context.Context, digest string, size int64, open func() (io.ReadCloser, error)) error
}

// ToStore is a store as a Sink.
func ToStore(s *blob.Store) Sink { return storeSink{s} }

type storeSink struct{ *blob.Store }

func (s storeSink) Put(ctx context.Context, digest string, _ int64, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	return s.Store.Put(ctx, digest, r)
}
