package job

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Mark is the first four bytes of a digest: enough to tell one of a worker's blobs from the
// others, and short enough for an announcement. 0 for what is no digest.
func Mark(digest string) uint32 {
	_, digits, _ := strings.Cut(digest, ":")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}
