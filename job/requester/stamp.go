package requester

import (
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// stamped signs an announcement whose hash begins with so many zero bits: a proof of
// work that workers ask for under a flood. Without bits it costs nothing.
func (r *Requester) stamped(bits int, a *marketv1.Announcement) (*marketv1.Signed, error) {
	bits = min(bits, market.MaxStampBits)
	for {
		payload, err := statement.Payload(statement.TypeAnnouncement, a)
		if err != nil {
			return nil, err
		}
		if market.StampBits(statement.HashPayload(string(statement.TypeAnnouncement), payload)) >= bits {
			return statement.SignPayload(r.Key, statement.TypeAnnouncement, payload), nil
		}
		a.Stamp++
	}
}
