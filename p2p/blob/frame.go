package blob

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Frames of content are written and read by hand, the very bytes the generated
// code would make, because that saves a copy and an allocation of every chunk.
// TestFramesByHandAreTheGeneratedOnes holds the two together.

// dataField is the number of BlobFrame.data.
const dataField = 2

// room is kept free in front of a chunk for the frame's length, the field's tag
// and the data's length.
const room = binary.MaxVarintLen32 + 1 + binary.MaxVarintLen32

var chunks = sync.Pool{New: func() any { b := make([]byte, room+chunk); return &b }}

// send sends n bytes of r in frames.
func (m *Meter) send(ctx context.Context, c *stream.Conn, r io.Reader, n int64) error {
	b := chunks.Get().(*[]byte)
	defer chunks.Put(b)
	for n > 0 {
		size := int(min(n, m.chunk))
		if _, err := io.ReadFull(r, (*b)[room:room+size]); err != nil {
			return fmt.Errorf("read content: %w", err)
		}
		if err := m.take(ctx, size); err != nil {
			return err
		}
		if err := c.SendFrames(dataFrame(*b, size)); err != nil {
			return err
		}
		n -= int64(size)
	}
	return nil
}

// dataFrame puts the head of a frame right before the size bytes at b[room:].
func dataFrame(b []byte, size int) []byte {
	var scratch [room]byte
	inner := protowire.AppendTag(scratch[:0], dataField, protowire.BytesType)
	inner = protowire.AppendVarint(inner, uint64(size))
	var outer [room]byte
	head := protowire.AppendVarint(outer[:0], uint64(len(inner)+size))
	head = append(head, inner...)
	start := room - len(head)
	copy(b[start:], head)
	return b[start : room+size]
}

// content returns the data of a frame without copying it; other frames are
// decoded as usual.
func content(frame []byte) ([]byte, *leasev1.BlobFrame, error) {
	if num, typ, n := protowire.ConsumeTag(frame); n > 0 && num == dataField && typ == protowire.BytesType {
		if data, m := protowire.ConsumeBytes(frame[n:]); m > 0 && n+m == len(frame) {
			return data, nil, nil
		}
	}
	var f leasev1.BlobFrame
	if err := proto.Unmarshal(frame, &f); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", stream.ErrMalformed, err)
	}
	return f.GetData(), &f, nil
}
