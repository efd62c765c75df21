package blob

import (
	"bytes"
	"encoding/binary"
	"testing"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestFramesByHandAreTheGeneratedOnes(t *testing.T) {
	for _, n := range []int{1, 100, 127, 128, 16_383, 16_384, chunk} {
		b := make([]byte, room+chunk)
		for i := range b[room:] {
			b[room+i] = byte(i * 7)
		}
		data := bytes.Clone(b[room : room+n])
		message, err := proto.Marshal(&leasev1.BlobFrame{Frame: &leasev1.BlobFrame_Data{Data: data}})
		if err != nil {
			t.Fatal(err)
		}
		want := append(binary.AppendUvarint(nil, uint64(len(message))), message...)
		if got := dataFrame(b, n); !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the frame differs", n)
		}
		got, _, err := content(message)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: read back %d bytes, %v", n, len(got), err)
		}
	}
}

// FuzzContent: the shortcut reads what the generated code reads.
func FuzzContent(f *testing.F) {
	f.Add([]byte("\x12\x01a"))
	f.Add([]byte("\x08\x05"))
	f.Add([]byte("\x12\x01a\x12\x01b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, err := content(b)
		var want leasev1.BlobFrame
		werr := proto.Unmarshal(b, &want)
		if (err == nil) != (werr == nil) || err == nil && !bytes.Equal(got, want.GetData()) {
			t.Errorf("got %q %v, want %q %v", got, err, want.GetData(), werr)
		}
	})
}
