package job

import (
	"crypto/sha256"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// OutputsDigest is what a close says of a task's outputs: SHA-256 of the
// marshalled Outputs message, or nothing when there are none.
func OutputsDigest(outs []*leasev1.Output) []byte {
	if len(outs) == 0 {
		return nil
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&leasev1.Outputs{Outputs: outs})
	if err != nil {
		return nil // only text that is no UTF-8 can do that, and such a path is no path of a spec
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
