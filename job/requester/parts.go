package requester

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// Errors a caller decides on.
var (
	// ErrNoJob: this requester has no such job.
	ErrNoJob = errors.New("no such job")
	// ErrAmbiguous: more than one job begins like that.
	ErrAmbiguous = errors.New("more than one job begins like that")
	// ErrSpec: the submission cannot be run as it is.
	ErrSpec = errors.New("unusable job")
	// ErrEnded: the job has ended already.
	ErrEnded = errors.New("the job has ended")
	// ErrLive: the job has not ended.
	ErrLive = errors.New("the job has not ended")
	// ErrNotRunning: the job has no task that runs yet.
	ErrNotRunning = errors.New("the job is not running yet")
	// ErrContent: asking again will not bring it. The peer does not have it, or
	// what it has is wrong.
	ErrContent = errors.New("content not to be had")
	// ErrNoRoom: this machine's disk is full.
	ErrNoRoom = errors.New("no room on this machine")
)

// Offer is a worker's verified offer, as this node knows it.
type Offer struct {
	Worker peer.ID
	Offer  *marketv1.Offer
	Seen   time.Time
}

// Market finds workers and talks terms with them.
type Market interface {
	// PeerRecord is this node's signed addresses.
	PeerRecord() ([]byte, error)
	// AddPeerRecord verifies and remembers a peer's signed addresses.
	AddPeerRecord(record []byte) (peer.ID, error)
	// Connected counts the peers this node is connected to.
	Connected() int
	// Offers sends the offers that could serve a requirement, those known already
	// first, and closes the channel when the network has been searched.
	Offers(ctx context.Context, need *marketv1.Requirement) <-chan Offer
	// Resolve finds the worker a person named by peer id or multiaddr.
	Resolve(ctx context.Context, name string) (peer.ID, error)
	// Ask asks one worker for a bid.
	Ask(ctx context.Context, worker peer.ID, announcement *marketv1.Signed) (*marketv1.Answer, error)
	// Witnesses are at most count connected peers that watch leases for others, in
	// random order; none of those left out.
	Witnesses(count int, without []peer.ID) []peer.ID
	// RecordOf is a peer's own signed addresses; nil when they are not known.
	RecordOf(id peer.ID) []byte
	// Announce tells workers that could serve the requirement: all of them, or in a large
	// network a share. wider is how often it was called for this announcement before; it
	// tells others each time. told is false once all were told that ever are.
	Announce(ctx context.Context, need *marketv1.Requirement, announcement *marketv1.Signed, wider int) (told bool, err error)
	// StampBits is the proof of work that announcements should carry now; 0: none.
	StampBits() int
	// Withdraw tells workers that their bids lost: everybody that heard the announcement,
	// where it was announced.
	Withdraw(ctx context.Context, losers []peer.ID, announced bool, withdrawal *marketv1.Signed)
	// RTT is the round trip to a worker; 0 when it was never measured.
	RTT(worker peer.ID) time.Duration
	// Ping measures it.
	Ping(ctx context.Context, worker peer.ID) (time.Duration, error)
	// Award brings signed terms to a worker.
	Award(ctx context.Context, worker peer.ID, req *leasev1.AwardRequest) (*leasev1.AwardResponse, error)
}

// Streams opens the streams of a lease.
type Streams interface {
	// Protect keeps the connection to a worker, also where there are too many, for a lease.
	Protect(worker peer.ID, lease string) (release func())
	// Beat opens the lease's kept stream. Its Open frame is the caller's to send.
	Beat(ctx context.Context, worker peer.ID) (session.Link, error)
	// Task opens a stream of a task's progress and output.
	Task(ctx context.Context, worker peer.ID) (session.Link, error)
	// Exec opens a stream to a program that is to run in a task.
	Exec(ctx context.Context, worker peer.ID) (session.Link, error)
	// Blobs gives the content a lease entitles us to, until it is released.
	Blobs(worker peer.ID, leaseID []byte) (src runtime.BlobSource, release func())
}

// Content is this node's store of blobs by digest.
type Content interface {
	// Reader reads a blob from an offset on.
	Reader(digest string, offset int64) (io.ReadCloser, error)
	// Manifest reads a folder's manifest, and brings it here first where src is not nil.
	// ErrContent, also when it is not one, or of too much; ErrNoRoom.
	Manifest(ctx context.Context, src runtime.BlobSource, digest string) (*marketv1.Manifest, error)
	// Fetch brings a blob of at most limit bytes here; one that was cut off goes
	// on where it stopped. ErrContent, ErrNoRoom.
	Fetch(ctx context.Context, src runtime.BlobSource, digest string, limit int64) error
}

// Standing is what this node went through with its peers.
type Standing interface {
	// Record is all of it with one peer.
	Record(peer.ID) market.Record
	// Strike notes that a peer did not stand by its word.
	Strike(peer.ID)
}
