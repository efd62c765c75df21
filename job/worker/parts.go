package worker

import (
	"context"
	"errors"
	"io"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// ErrNoLease: this peer has no such lease here.
var ErrNoLease = errors.New("no such lease")

// Peers reaches requesters.
type Peers interface {
	// PeerRecord is this node's signed addresses.
	PeerRecord() ([]byte, error)
	// AddPeerRecord verifies and remembers a peer's signed addresses.
	AddPeerRecord(record []byte) (peer.ID, error)
	// Connect dials a peer at the addresses known of it.
	Connect(ctx context.Context, id peer.ID) error
	// Protect keeps the connection to a peer, also where there are too many, for a lease.
	Protect(id peer.ID, lease string) (release func())
	// Origins are the blocks of public addresses that a connected peer comes from;
	// none of one that is reached through a relay, or on this network.
	Origins(id peer.ID) []netip.Prefix
	// Witness opens a stream to a witness of a lease.
	Witness(ctx context.Context, id peer.ID) (session.Link, error)
	// Answer brings a bid or decline to a requester that announced a job. over says
	// that it came too late, and price at what the job was awarded; 0: not said.
	Answer(ctx context.Context, to peer.ID, a *marketv1.Answer) (over bool, price uint64, err error)
	// Blobs gives the content a lease entitles us to, until it is released.
	Blobs(from peer.ID, leaseID []byte) (src runtime.BlobSource, release func())
}

// Folders turns folders of files into blobs by digest, and back.
type Folders interface {
	// Unpack writes the files of a manifest into dir.
	Unpack(ctx context.Context, src runtime.BlobSource, manifest, dir string) error
	// Pack takes a folder into this node's store. runtime.ErrNoSpace.
	Pack(ctx context.Context, dir string) (Packed, error)
	// Digests lists a packed manifest's blobs, the manifest's own among them.
	Digests(manifest string) ([]string, error)
}

// Packed is a folder in this node's store.
type Packed struct {
	Manifest string   // digest
	Bytes    uint64   // of all files together
	Left     int      // how many entries were left out: no files, or with names that nobody could write
	Skipped  []string // names of some of those
}

// Commons is content that other nodes give to whoever knows its digest.
type Commons interface {
	// Bring makes a shared input be here, from whoever shares it, and from the requester what
	// nobody else gives, and gives a source of it that is good until it is released.
	// ErrContent, also when nobody is found that has it; runtime.ErrNoSpace.
	Bring(ctx context.Context, in *marketv1.Input, requester runtime.BlobSource, progress runtime.Progress) (src runtime.BlobSource, release func(), err error)
}

// Standing is what this node went through with its peers.
type Standing interface {
	// Record is all of it with one peer.
	Record(peer.ID) market.Record
	// Strike notes that a peer did not stand by its word.
	Strike(peer.ID)
}

// strangers is the standing of everybody when nobody keeps any.
type strangers struct{}

func (strangers) Record(peer.ID) market.Record { return market.Record{} }
func (strangers) Strike(peer.ID)               {}

// Registry gives public images without their requester's help. It must reach nothing that
// is not on the public internet.
type Registry interface {
	// Image reads blobs of the image of that name. Close it.
	Image(name string) (RegistryImage, error)
}

// RegistryImage is one image of a registry.
type RegistryImage interface {
	runtime.BlobSource
	io.Closer
}

// Swarm is the other workers that have public images.
type Swarm interface {
	// Image begins to look for those that have an image, by its digest. Close it.
	Image(digest string) SwarmImage
	// Share lets them have these blobs of an image, which anybody gets from its registry.
	Share(image string, blobs []string)
}

// SwarmImage is one image at other workers. It is for one reader, which reads one layer after
// the other; a layer that is asked for again from its beginning was wrong.
type SwarmImage interface {
	Layer(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error)
	// Elsewhere watches what another source gives of a layer: it may show who lied.
	Elsewhere(digest string, size, offset int64, body io.ReadCloser) io.ReadCloser
	// Good says that all that was given is what it should be.
	Good()
	io.Closer
}
