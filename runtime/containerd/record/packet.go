//go:build linux

package record

import "encoding/binary"

// Kinds of packets between an init and whoever attaches to its job, on InputSocket. A
// packet's first byte is its kind.
const (
	InputPacket   = 'i' // to the init: for the job to read
	EndPacket     = 'e' // to the init: there is no more of it
	SizePacket    = 's' // to the init: rows and columns of the terminal, two bytes each
	EarlierPacket = 'b' // from the init, first: what was written to the terminal before
	OutputPacket  = 'o' // from the init: what is written to it
)

// PacketBytes is how much a packet carries at most, beside its kind.
const PacketBytes = 32 << 10

// SizeOf makes a SizePacket.
func SizeOf(rows, columns uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{SizePacket}, rows), columns)
}

// ParseSize reads what follows the kind of a SizePacket.
func ParseSize(b []byte) (rows, columns uint16, ok bool) {
	if len(b) != 4 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), true
}
