package control

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// piece is how much of a blob or an output travels in one message, in bytes.
const piece = 256 << 10

// MissingBlobs implements controlv1connect.ControlServiceHandler.
func (s *Server) MissingBlobs(_ context.Context, req *controlv1.MissingBlobsRequest) (*controlv1.MissingBlobsResponse, error) {
	resp := &controlv1.MissingBlobsResponse{}
	for _, d := range req.Digests {
		if !s.Blobs.Has(d) {
			resp.Digests = append(resp.Digests, d)
		}
	}
	return resp, nil
}

// PutBlob implements controlv1connect.ControlServiceHandler.
func (s *Server) PutBlob(ctx context.Context, stream *connect.ClientStream[controlv1.PutBlobRequest]) (*controlv1.PutBlobResponse, error) {
	if !stream.Receive() {
		return nil, toWire(cmpErr(stream.Err(), fmt.Errorf("%w: an upload without a message", ErrInvalid)))
	}
	digest := stream.Msg().Digest
	if digest == "" {
		return nil, toWire(fmt.Errorf("%w: an upload without a digest", ErrInvalid))
	}
	r := &uploadReader{stream: stream, rest: stream.Msg().Data}
	if err := s.Blobs.Put(ctx, digest, r); err != nil {
		return nil, toWire(fmt.Errorf("store %s: %w", digest, err))
	}
	return &controlv1.PutBlobResponse{SizeBytes: r.read}, nil
}

// uploadReader reads the content out of the messages of one upload.
type uploadReader struct {
	stream *connect.ClientStream[controlv1.PutBlobRequest]
	rest   []byte
	read   uint64
}

func (r *uploadReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if !r.stream.Receive() {
			return 0, cmpErr(r.stream.Err(), io.EOF)
		}
		r.rest = r.stream.Msg().Data
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	r.read += uint64(n)
	return n, nil
}

// GetBlob implements controlv1connect.ControlServiceHandler.
func (s *Server) GetBlob(_ context.Context, req *controlv1.GetBlobRequest, stream *connect.ServerStream[controlv1.GetBlobResponse]) error {
	if !s.Blobs.Has(req.Digest) {
		return toWire(fmt.Errorf("blob %s: %w", req.Digest, ErrNotFound))
	}
	r, err := s.Blobs.Reader(req.Digest, int64(req.Offset))
	if err != nil {
		return toWire(fmt.Errorf("read blob %s: %w", req.Digest, err))
	}
	defer r.Close()
	buf := make([]byte, piece)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := stream.Send(&controlv1.GetBlobResponse{Data: buf[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return toWire(fmt.Errorf("read blob %s: %w", req.Digest, err))
		}
	}
}

// cmpErr is the first of its errors that is not nil.
func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
