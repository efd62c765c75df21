// Package control is the local API of a node: connect over a unix socket in its
// data directory. The command line is its first client; both sides share the
// types of proto/control/v1.
//
// Exactly one process owns a data directory: Lock decides which. It listens with
// Listen and answers with a Server; everybody else connects with Dial, or with
// EnsureRunning, which starts a background requester when nobody answers. The
// node never opens a path that a person typed: the client does, and streams the
// content of files as blobs.
package control

import (
	"context"
	"io"
	"iter"
	"time"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// Jobs is what the server needs of whoever holds the jobs of this node.
//
// An id is a whole job id (hex), a whole lease id, or a unique beginning of either; a
// method answers ErrNotFound or ErrAmbiguous otherwise.
type Jobs interface {
	// Submit takes a job and gives its id. The job is durable on return and goes
	// on whether or not anybody watches. ErrInvalid names everything that is wrong
	// with the spec; ErrMissing names a blob that is not in the store.
	Submit(ctx context.Context, s *leasev1.Submission) (string, error)
	// Events gives the job's history from its beginning. With follow it then goes
	// on live; either way it ends after JobEnded. It stops when ctx is done. An
	// error is yielded once, last, with a nil event.
	Events(ctx context.Context, id string, follow bool) iter.Seq2[*leasev1.JobEvent, error]
	// Output reads what this node holds of one output of the task, from an offset on.
	// A job without output so far is no error. With follow, Read blocks for more and
	// gives io.EOF once the job has ended and all its output was read; without, at the
	// end of what is there. Reads end when ctx is done.
	Output(ctx context.Context, id string, stream runtime.Stream, offset int64, follow bool) (io.ReadCloser, error)
	// Stop asks the task to end within grace, and returns without waiting for that.
	// With abandon the lease is given up at once. Stopping an ended job is no error.
	Stop(ctx context.Context, id string, grace time.Duration, abandon bool) error
	// List tells of the jobs of this node as a requester and its leases as a worker,
	// oldest first; with all, of ended ones too.
	List(all bool) []*controlv1.Job
}

// Blobs is the content store of the node. Digests are "sha256:<hex>".
type Blobs interface {
	// Has says whether the whole content of a digest is here.
	Has(digest string) bool
	// Reader gives the content of a digest from an offset on.
	Reader(digest string, offset int64) (io.ReadCloser, error)
	// Put stores what r gives under digest, and fails when it is something else.
	// Putting what is there already is no error.
	Put(ctx context.Context, digest string, r io.Reader) error
}

// Offers knows who is out there.
type Offers interface {
	// Offers gives the offers that this node holds and has verified, looking for
	// more in the DHT for at most wait (0: only those at hand).
	Offers(ctx context.Context, wait time.Duration) []*controlv1.SeenOffer
}

// Receipts holds the receipts of this node's leases, of both roles.
type Receipts interface {
	// Receipt gives the bytes of one receipt by a job or lease id, or a unique
	// beginning of one, and the lease id. ErrNotFound, ErrAmbiguous.
	Receipt(id string) (leaseID string, receipt []byte, err error)
	// ListReceipts tells of every receipt, oldest first.
	ListReceipts() ([]*controlv1.ReceiptLine, error)
}

// Node is the machine itself.
type Node interface {
	// Status says what this node is and does. PID, data directory and version
	// are filled in by the server when empty.
	Status(ctx context.Context) *controlv1.StatusResponse
	// Join adds multiaddrs ending in /p2p/ID to the nodes to begin with, and has
	// them dialled soon. ErrInvalid.
	Join(addrs []string) error
	// Shutdown makes the node's Run return, soon but not before Shutdown itself
	// has; with drain, when its leases have ended.
	Shutdown(drain bool)
}
