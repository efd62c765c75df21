package requester

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// maxDeny bounds how many workers one job may rule out.
const maxDeny = 256

// checkPlacement names everything that is wrong with where a job may run.
func checkPlacement(sub *leasev1.Submission) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	p := sub.GetPlacement()
	if len(p.GetRegions()) > job.MaxRegions {
		wrong("%d regions: want at most %d", len(p.GetRegions()), job.MaxRegions)
	}
	for _, r := range p.GetRegions() {
		if !job.IsRegion(r) {
			wrong("region %q: want a-z, 0-9 and hyphens between them, such as eu-west", r)
		}
	}
	if p.GetMaxRttMs() < 0 {
		wrong("longest round trip %d ms: want 0 or more", p.GetMaxRttMs())
	}
	if p.GetMinReputation() > 100 {
		wrong("reputation of at least %d %%: want 0 to 100", p.GetMinReputation())
	}
	if len(p.GetDeny()) > maxDeny {
		wrong("%d workers denied: want at most %d", len(p.GetDeny()), maxDeny)
	}
	for _, text := range p.GetDeny() {
		if _, err := peer.Decode(text); err != nil {
			wrong("denied worker %q: want a peer id", text)
		}
	}
	return errors.Join(problems...)
}

// strangers is the standing of everybody when nobody keeps any.
type strangers struct{}

func (strangers) Record(peer.ID) market.Record { return market.Record{} }
func (strangers) Strike(peer.ID)               {}
