package requester

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// answerTo is the announcement an answer is about.
func answerTo(a *marketv1.Answer) ([32]byte, bool) {
	var hash []byte
	switch v := a.GetAnswer().(type) {
	case *marketv1.Answer_Bid:
		b, err := statement.OpenBid(v.Bid)
		if err != nil {
			return [32]byte{}, false
		}
		hash = b.Message().AnnouncementHash
	case *marketv1.Answer_Decline:
		hash = v.Decline.AnnouncementHash
	}
	if len(hash) != 32 {
		return [32]byte{}, false
	}
	return [32]byte(hash), true
}

// hear takes one answer in: a bid is verified before it counts. A worker has one
// answer, by whichever way it came first.
func (a *auction) hear(an answer) {
	if an.asked {
		delete(a.waiting, an.from)
	} else if a.unasked++; a.unasked > maxUnasked {
		return
	}
	if an.err != nil {
		a.unreached = an.err
		return
	}
	if a.heard[an.from] {
		return
	}
	a.heard[an.from], a.news = true, time.Now()
	if an.asked {
		a.farthest = max(a.farthest, an.rtt)
	}
	switch v := an.answer.GetAnswer().(type) {
	case *marketv1.Answer_Bid:
		if err := a.takeBid(an, v.Bid); err != nil {
			a.j.log.Debug("bid not considered", "peer", an.from, "err", err)
			a.refused = append(a.refused, err)
		}
	case *marketv1.Answer_Decline:
		if v.Decline.GetReason() == marketv1.DeclineReason_DECLINE_REASON_STAMP {
			a.j.stamp = max(a.j.stamp, min(v.Decline.GetStampBits(), market.MaxStampBits))
		}
		if a.declines++; a.declines <= maxDeclines {
			a.j.tellDecline(an.from, v.Decline)
		}
	}
}

// tellDecline tells of a decline, unless the worker said the same before: a job
// that waits asks again and again.
func (j *run) tellDecline(from peer.ID, d *marketv1.Decline) {
	if before, told := j.declines[from]; told && before == d.Reason || !told && len(j.declines) >= maxUnasked {
		return
	}
	j.declines[from] = d.Reason
	d.Text = job.CleanText(d.Text)
	j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Decline{Decline: &leasev1.DeclineReceived{PeerId: from.String(), Decline: d}}})
}

// takeBid verifies a bid, and keeps it when it is acceptable.
func (a *auction) takeBid(an answer, signed *marketv1.Signed) error {
	v, err := statement.OpenBid(signed)
	if err != nil {
		return err
	}
	b := v.Message()
	if err := job.CheckBid(b); err != nil {
		return err
	}
	signer, err := job.PeerID(v.Signer())
	if err != nil || signer != an.from {
		return fmt.Errorf("signed by %s", signer)
	}
	if [32]byte(b.AnnouncementHash) != a.hash || b.Network != a.j.r.Network {
		return errors.New("its bid is not for this announcement")
	}
	if late := a.j.r.Now().UnixMilli() - b.ExpiresMs; late > 0 {
		return fmt.Errorf("its bid expired %s ago: check both clocks", time.Duration(late)*time.Millisecond)
	}
	if why, ok := a.j.unfit[signer]; ok {
		return fmt.Errorf("it refused the job: %s", why)
	}
	record := a.j.r.Standing.Record(signer)
	c := market.Candidate{Bid: b, Worker: signer, RTT: an.rtt, Reputation: record.Fade(a.j.r.Now()).Reputation()}
	if record.Shunned(a.j.r.Now()) {
		return errors.New("this worker bid before and then never started")
	}
	err = market.Acceptable(a.wants, c)
	if err == nil {
		a.bids = append(a.bids, bid{Candidate: c, signed: v.Signed()})
	} else if len(a.refused) >= maxDeclines {
		return err
	}
	a.j.tellBid(c, market.Rate(a.wants.Prefer, c).Message(c), err)
	return err
}

// tellBid tells of a bid, what it counts as, and why it cannot win when it cannot.
func (j *run) tellBid(c market.Candidate, score *leasev1.Score, refused error) {
	e := &leasev1.BidReceived{PeerId: c.Worker.String(), Bid: c.Bid, Score: score}
	if refused != nil {
		e.Refused = job.CleanText(refused.Error())
	}
	j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Bid{Bid: e}})
}
