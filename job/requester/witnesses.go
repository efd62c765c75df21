package requester

import (
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// CheckWitnesses says what is wrong with the witnesses that a submission names.
func CheckWitnesses(sub *leasev1.Submission) error {
	var problems []error
	seen := map[peer.ID]bool{}
	for _, name := range sub.GetWitnesses() {
		id, err := peer.Decode(name)
		if err == nil {
			_, err = job.PublicKey(id)
		}
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("witness %q: want a peer id such as 12D3Koo…", name))
		case seen[id]:
			problems = append(problems, fmt.Errorf("witness %s is named twice", name))
		}
		seen[id] = true
	}
	if n := uint64(len(sub.GetWitnesses())) + uint64(sub.GetAnyWitnesses()); n > job.MaxWitnesses {
		problems = append(problems, fmt.Errorf("%d witnesses: want at most %d", n, job.MaxWitnesses))
	}
	return errors.Join(problems...)
}

// witnesses are those of a lease with a worker: the ones that the job names, and
// as many others as it wants, as far as there are any. Neither side is its own witness.
func (j *run) witnesses(worker peer.ID) []peer.ID {
	var out []peer.ID
	self, _ := job.PeerID(j.r.self) // its own key
	for _, name := range j.sub.Witnesses {
		if id, err := peer.Decode(name); err == nil && id != worker && id != self {
			out = append(out, id)
		}
	}
	wanted := int(j.sub.AnyWitnesses)
	found := j.r.Market.Witnesses(wanted, append(slices.Clone(out), worker, self))
	if len(found) < wanted {
		j.trouble("few-witnesses", "%d witnesses wanted beside those named, and %d are connected", wanted, len(found))
	}
	return append(out, found...)
}

// nameWitnesses writes witnesses into terms. More than half of them are to attest, unless
// whoever verifies a receipt thinks otherwise.
func nameWitnesses(terms *leasev1.Terms, witnesses []peer.ID) {
	for _, id := range witnesses {
		if key, err := job.PublicKey(id); err == nil {
			terms.Witnesses = append(terms.Witnesses, key)
		}
	}
	if n := len(terms.Witnesses); n > 0 {
		terms.WitnessQuorum = uint32(n/2 + 1)
	}
}

// records are the addresses of witnesses, for a worker that does not know them.
func (j *run) records(witnesses []peer.ID) [][]byte {
	var out [][]byte
	for _, id := range witnesses {
		if r := j.r.Market.RecordOf(id); r != nil {
			out = append(out, r)
		}
	}
	return out
}
