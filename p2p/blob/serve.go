package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

const (
	protocolName = "blob"
	chunk        = 128 << 10 // bytes of content in one frame
)

// limits: a frame may take a minute, which a link of 20 kbit/s keeps.
var limits = stream.Limits{MaxMessage: chunk + 64, PerPeer: 8, Total: 256, Frame: time.Minute}

// maxPause is how long a stream is kept for its next request.
const maxPause = 30 * time.Second

// Content is what can be served: a Store, or somebody's view of one.
type Content interface {
	Size(digest string) (int64, error)
	Reader(digest string, offset int64) (io.ReadCloser, error)
}

// Authorize says whether a peer may have a blob, on the strength of a lease, or of none.
type Authorize func(from peer.ID, leaseID []byte, digest string) bool

type server struct {
	content Content
	may     Authorize
	meter   *Meter
	log     *slog.Logger
}

// Serve answers peers' requests for content until the server it returns, or the
// host, is closed. The authorize callback is called once per request. All that is
// served goes through the meter, unless that is nil.
func Serve(h *p2p.Host, content Content, authorize Authorize, meter *Meter) *stream.Server {
	if meter == nil {
		meter = NewMeter(0)
	}
	s := &server{content: content, may: authorize, meter: meter, log: h.Log()}
	return stream.Accept(h, protocolName, limits, s.serve)
}

// serve answers any number of requests, one after the other. A stream that is not asked any
// more, or that got its peer nothing, makes room for others.
func (s *server) serve(ctx context.Context, c *stream.Conn) {
	for ctx.Err() == nil {
		var req leasev1.BlobRequest
		err := c.Recv(&req)
		if err == nil {
			err = s.answer(ctx, c, &req)
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			s.log.Debug("blob stream ended", "peer", c.Peer(), "err", err)
			c.Reset()
			return
		}
		c.SetReadDeadline(time.Now().Add(maxPause))
	}
}

// answer gives one answer, io.EOF when it was the last.
func (s *server) answer(ctx context.Context, c *stream.Conn, req *leasev1.BlobRequest) error {
	r, size, err := s.open(c.Peer(), req)
	if err != nil {
		return s.refuse(c, code(err))
	}
	defer r.Close()
	if err := c.Send(&leasev1.BlobFrame{Frame: &leasev1.BlobFrame_SizeBytes{SizeBytes: uint64(size)}}); err != nil {
		return err
	}
	return s.meter.send(ctx, c, r, part(req, size))
}

// refuse says so. Whoever gets nothing keeps no stream either: many that ask for anything
// would else have all there are.
func (s *server) refuse(c *stream.Conn, why leasev1.BlobError) error {
	err := c.Send(&leasev1.BlobFrame{Frame: &leasev1.BlobFrame_Error{Error: why}})
	if err == nil && why == leasev1.BlobError_BLOB_ERROR_UNKNOWN {
		err = io.EOF
	}
	return err
}

// open refuses what is not for this peer as if it were not there.
func (s *server) open(from peer.ID, req *leasev1.BlobRequest) (io.ReadCloser, int64, error) {
	digest := req.GetDigest()
	if Check(digest) != nil || !s.may(from, req.GetLeaseId(), digest) {
		return nil, 0, ErrUnknown
	}
	size, err := s.content.Size(digest)
	if err != nil {
		return nil, 0, err
	}
	if req.GetOffset() > uint64(size) {
		return nil, 0, ErrRange
	}
	r, err := s.content.Reader(digest, int64(req.GetOffset()))
	return r, size, err
}

// code keeps our troubles to ourselves: to the peer the content is not here.
func code(err error) leasev1.BlobError {
	if errors.Is(err, ErrRange) {
		return leasev1.BlobError_BLOB_ERROR_RANGE
	}
	return leasev1.BlobError_BLOB_ERROR_UNKNOWN
}

func fromCode(e leasev1.BlobError) error {
	switch e {
	case leasev1.BlobError_BLOB_ERROR_UNKNOWN:
		return ErrUnknown
	case leasev1.BlobError_BLOB_ERROR_RANGE:
		return ErrRange
	}
	return fmt.Errorf("%w: error %d", stream.ErrMalformed, e)
}
