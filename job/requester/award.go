package requester

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// What a requester writes into the terms unless the submission says otherwise.
const (
	DefaultInterval    = time.Minute
	DefaultMaxDuration = 24 * time.Hour
	startWithin        = time.Minute // from award to the first challenge
	maxUnpaid          = 2           // intervals
	awardTimeout       = 10 * time.Second
)

// award signs terms for a bid and has the worker countersign them. The signed
// terms are durable before they leave: after a crash the same ones are sent
// again, and a worker answers the same award with the same countersignature.
func (j *run) award(ctx context.Context, b bid) (*tenure, error) {
	j.fence++
	spec, err := proto.MarshalOptions{Deterministic: true}.Marshal(j.sub.Spec)
	if err != nil {
		return nil, fmt.Errorf("spec of job %s: %w", j.id, err)
	}
	witnesses := j.witnesses(b.Worker)
	unsigned := j.terms(b.Bid, spec)
	nameWitnesses(unsigned, witnesses)
	terms, err := statement.Sign(j.r.Key, statement.TypeTerms, unsigned)
	if err != nil {
		return nil, fmt.Errorf("terms of job %s: %w", j.id, err)
	}
	record, err := j.r.Market.PeerRecord()
	if err != nil {
		return nil, fmt.Errorf("terms of job %s: %w", j.id, err)
	}
	if _, err := j.r.Market.AddPeerRecord(b.Bid.PeerRecord); err != nil {
		j.log.Debug("addresses of a bid", "peer", b.Worker, "err", err)
	}
	req := &leasev1.AwardRequest{Terms: terms, Spec: spec, Bid: b.signed, PeerRecord: record, WitnessRecords: j.records(witnesses)}
	event, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	if err := j.record(ctx, KindAward, event, nil); err != nil {
		return nil, err
	}
	return j.send(ctx, req)
}

// retry sends an award again whose answer was lost with the last process. A
// worker that does not want it any more makes the job look for another.
func (j *run) retry(ctx context.Context) (*tenure, error) {
	j.mu.Lock()
	req := j.pending
	j.pending = nil
	j.mu.Unlock()
	if req == nil {
		return nil, nil
	}
	if terms, err := statement.OpenRequesterTerms(req.Terms); err != nil || terms.Message().StartByMs <= j.r.Now().UnixMilli() {
		j.log.Info("award of before the restart is too old", "err", err)
		return nil, nil
	}
	t, err := j.send(ctx, req)
	var broken errJournal
	if err != nil && !errors.As(err, &broken) {
		j.log.Info("award of before the restart not taken up", "err", err)
		return nil, ctx.Err()
	}
	return t, err
}

// send brings an award to its worker and keeps the lease that comes of it.
func (j *run) send(ctx context.Context, req *leasev1.AwardRequest) (*tenure, error) {
	bid, err := statement.OpenBid(req.Bid)
	if err != nil {
		return nil, err
	}
	worker, err := job.PeerID(bid.Signer())
	if err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, awardTimeout)
	defer cancel()
	asked := j.r.Now()
	resp, err := j.r.Market.Award(soon, worker, req)
	if err != nil {
		if j.r.Now().Sub(asked) >= awardTimeout { // it took the award and said nothing, or is gone
			j.r.Standing.Strike(worker)
		}
		return nil, err
	}
	if no := resp.GetRefused(); no != nil {
		j.tellDecline(worker, no)
		if no.Reason == marketv1.DeclineReason_DECLINE_REASON_INVALID {
			j.unfit[worker] = job.CleanText(no.Text) // it would bid again, and refuse again
		}
		return nil, fmt.Errorf("refused: %s", job.CleanText(no.Text))
	}
	agreement, err := lease.NewAgreement(resp.GetCountersigned(), req.Terms)
	if err != nil {
		return nil, fmt.Errorf("countersignature of %s: %w", worker, err)
	}
	return j.begin(ctx, agreement, req, resp.GetCountersigned())
}

// begin makes the signed lease durable.
func (j *run) begin(ctx context.Context, agreement lease.Agreement, req *leasev1.AwardRequest, counter *marketv1.Signed) (*tenure, error) {
	now := j.r.Now() // also of the record: a replay begins at that time, and must find every tick as due as it was
	l, err := lease.New(lease.Config{Role: lease.Requester, Agreement: agreement, Sign: j.r.sign}, now)
	if err != nil {
		return nil, err
	}
	event, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	said, err := proto.Marshal(counter)
	if err != nil {
		return nil, err
	}
	t := j.newTenure(agreement, l)
	rec := journal.Record{Key: t.key, Kind: KindLease, At: now, Event: event, Statements: [][]byte{said}}
	if err := j.keep(ctx, rec); err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.tenure = t
	j.mu.Unlock()
	j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Lease{Lease: &leasev1.LeaseSigned{
		LeaseId: t.id.String(), PeerId: t.worker.String(), Terms: agreement.Terms,
	}}})
	j.log.Info("lease signed", "lease", t.id.Short(), "peer", t.worker)
	return t, nil
}

func (r *Requester) sign(t statement.Type, payload []byte) *marketv1.Signed {
	return statement.SignPayload(r.Key, t, payload)
}

// terms are what this requester signs for a bid.
func (j *run) terms(b *marketv1.Bid, spec []byte) *leasev1.Terms {
	now := j.r.Now()
	digest := sha256.Sum256(spec)
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
	interval := orElse(j.sub.IntervalMs, DefaultInterval.Milliseconds())
	duration := orElse(j.sub.MaxDurationMs, DefaultMaxDuration.Milliseconds())
	var tags [][]byte
	for _, d := range b.Devices {
		tags = append(tags, d.Tag)
	}
	most, err := job.Amount(uint64(duration), b.Price, len(tags))
	if err != nil {
		most = 1<<63 - 1 // more than anybody pays: CheckTerms has the last word
	}
	terms := &leasev1.Terms{
		Version: 1, Network: j.r.Network, Worker: b.Worker, Requester: j.r.self,
		WorkerNonce: b.Nonce, RequesterNonce: nonce, JobId: j.id[:], GpuTags: tags,
		Price: b.Price, MaxAmount: most,
		IntervalMs: interval, FirstIntervalMs: min(interval, market.StrangerInterval.Milliseconds()), GraceMs: interval / 4, MaxUnpaid: maxUnpaid,
		AbsentGraceMs: min(j.r.AbsentGrace.Milliseconds(), b.MaxAbsentGraceMs),
		YieldNoticeMs: b.YieldNoticeMs,
		StartByMs:     now.Add(startWithin).UnixMilli(), MaxDurationMs: duration,
		SpecDigest: digest[:], ImageDigest: j.sub.Spec.Image.Digest, Platform: j.sub.Spec.Image.Platform,
		Simulated: b.Simulated, SelfDealt: string(b.Worker) == string(j.r.self), CreatedMs: now.UnixMilli(),
		Fence: j.fence,
	}
	if t := j.r.SealRate * uint64(interval) / uint64(time.Minute.Milliseconds()); t > 0 {
		terms.SealSuite, terms.SealModulus = job.SealWesolowski, job.SealRSA2048
		terms.SealT = min(max(t, job.MinSealT), job.MaxSealT)
	}
	return terms
}

func orElse(v, otherwise int64) int64 {
	if v > 0 {
		return v
	}
	return otherwise
}
