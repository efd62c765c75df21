package tree

import (
	"context"
	"fmt"
	"os"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// PackFile puts one regular file of a folder into sink, and the manifest of a folder that
// holds nothing else and calls it name.
func PackFile(ctx context.Context, root *os.Root, file, name string, sink Sink) (Packed, error) {
	info, err := root.Lstat(file)
	if err != nil {
		return Packed{}, fmt.Errorf("pack file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Packed{}, fmt.Errorf("pack file %s: %w", file, ErrKind)
	}
	p := &packer{root: root, sink: sink, limits: Limits{}.withDefaults()}
	e := &marketv1.Entry{Path: file}
	if err := p.putFile(ctx, e); err != nil {
		return Packed{}, fmt.Errorf("pack file: %w", err)
	}
	return PackEntry(ctx, &marketv1.Entry{
		Path: name, Mode: uint32(info.Mode().Perm()), SizeBytes: e.SizeBytes, Digest: e.Digest,
	}, sink)
}

// PackEntry puts the manifest of a folder that holds one file alone into sink. The file's
// content is put by somebody else, or found at its URL.
func PackEntry(ctx context.Context, e *marketv1.Entry, sink Sink) (Packed, error) {
	p := &packer{sink: sink, entries: []*marketv1.Entry{e}, packed: Packed{Bytes: e.GetSizeBytes()}}
	if err := Check(&marketv1.Manifest{Entries: p.entries}, Limits{}); err != nil {
		return Packed{}, err
	}
	err := p.putManifest(ctx)
	return p.packed, err
}
