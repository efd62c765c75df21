package worker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Kinds of records in the journal.
const (
	KindAward = "worker.award" // begins a lease; the event is the AwardRequest
	KindEvent = "worker.event"
)

// The shortest and longest heartbeat interval a worker signs.
const (
	MinInterval = 500 * time.Millisecond
	MaxInterval = 10 * time.Minute
)

// award is an AwardRequest of which everything was checked that needs no state.
type award struct {
	request *leasev1.AwardRequest
	terms   statement.Verified[*leasev1.Terms]
	bid     *marketv1.Bid
	spec    *marketv1.Spec
	from    peer.ID
}

// refusal is a typed reason not to sign.
type refusal struct {
	reason marketv1.DeclineReason
	text   string
}

func (r refusal) Error() string { return r.text }

func refuse(reason marketv1.DeclineReason, format string, args ...any) error {
	return refusal{reason, fmt.Sprintf(format, args...)}
}

// Award countersigns the terms a requester signed, or says why not. Devices are
// reserved here and nowhere earlier. The same award gets the same answer again.
func (w *Worker) Award(from peer.ID, req *leasev1.AwardRequest) (*leasev1.AwardResponse, error) {
	signed, err := w.award(from, req)
	var no refusal
	if errors.As(err, &no) {
		w.Log.Info("award refused", "peer", from, "reason", no.text)
		d := &marketv1.Decline{Reason: no.reason, Text: job.CleanText(no.text)}
		return &leasev1.AwardResponse{Result: &leasev1.AwardResponse_Refused{Refused: d}}, nil
	}
	if err != nil {
		return nil, err
	}
	return &leasev1.AwardResponse{Result: &leasev1.AwardResponse_Countersigned{Countersigned: signed}}, nil
}

func (w *Worker) award(from peer.ID, req *leasev1.AwardRequest) (*marketv1.Signed, error) {
	terms, err := openTerms(from, req)
	if err != nil {
		return nil, err
	}
	id := job.LeaseID(terms.Hash())
	if s, err := w.tenancy(id[:], from); err == nil {
		return s.countersigned, nil // whatever has changed since
	}
	a, err := w.check(from, terms, req)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.tenancies[id.String()]; ok {
		return s.countersigned, nil // a twin of this award was faster
	}
	if w.draining || w.run == nil {
		return nil, refuse(marketv1.DeclineReason_DECLINE_REASON_DRAINING, "this worker takes no new lease")
	}
	nonce := [16]byte(a.bid.Nonce)
	if w.taken(nonce) {
		return nil, refuse(marketv1.DeclineReason_DECLINE_REASON_GONE, "the bid was taken up already")
	}
	stranger, err := w.checkStranger(a)
	if err != nil {
		return nil, err
	}
	if err := w.pass(a.terms.Message()); err != nil {
		return nil, err
	}
	if err := w.reserve(id, a.terms.Message().GpuTags); err != nil {
		return nil, err
	}
	s, err := w.begin(id, a)
	if err != nil {
		w.Config.Devices.Release(id.String())
		return nil, err
	}
	s.stranger, s.origins = stranger, w.Peers.Origins(from)
	w.bids[nonce] = a.bid.ExpiresMs
	w.heard.end([32]byte(a.bid.AnnouncementHash), true, a.bid.Price)
	w.tenancies[id.String()] = s
	w.start(s)
	w.Log.Info("lease signed", "lease", id.Short(), "peer", from, "devices", len(a.terms.Message().GpuTags))
	return s.countersigned, nil
}

// taken says whether a bid was taken up before, and forgets those that nobody
// can take up any more. The caller holds mu.
func (w *Worker) taken(nonce [16]byte) bool {
	now := w.Now().UnixMilli()
	for n, expires := range w.bids {
		if expires < now {
			delete(w.bids, n)
		}
	}
	_, taken := w.bids[nonce]
	return taken
}

// openTerms verifies the signature of the peer that brought the terms.
func openTerms(from peer.ID, req *leasev1.AwardRequest) (statement.Verified[*leasev1.Terms], error) {
	key, err := job.PublicKey(from)
	if err != nil {
		return statement.Verified[*leasev1.Terms]{}, refuse(marketv1.DeclineReason_DECLINE_REASON_INVALID, "peer %s has no Ed25519 key", from)
	}
	terms, err := statement.Open[*leasev1.Terms](req.Terms, statement.TypeTerms, key)
	if err != nil {
		return terms, refuse(marketv1.DeclineReason_DECLINE_REASON_INVALID, "terms: %v", err)
	}
	return terms, nil
}

// check verifies all of an award that does not depend on what else this worker does.
func (w *Worker) check(from peer.ID, terms statement.Verified[*leasev1.Terms], req *leasev1.AwardRequest) (award, error) {
	invalid := func(format string, args ...any) (award, error) {
		return award{}, refuse(marketv1.DeclineReason_DECLINE_REASON_INVALID, format, args...)
	}
	bid, err := statement.OpenBid(req.Bid)
	if err != nil || !bytes.Equal(bid.Signer(), w.self) {
		return invalid("the bid is not this worker's")
	}
	var spec marketv1.Spec
	if err := proto.Unmarshal(req.Spec, &spec); err != nil {
		return invalid("spec: not readable")
	}
	if err := job.CheckSpec(&spec); err != nil {
		return invalid("spec: %v", err)
	}
	a := award{request: req, terms: terms, bid: bid.Message(), spec: &spec, from: from}
	return a, errors.Join(w.compare(a), w.fits(a))
}

// fits asks the rules of the market about what is really to be run: a bid is for
// an announcement, which may have named less.
func (w *Worker) fits(a award) error {
	now, t := w.Now(), a.terms.Message()
	idle := w.standing() // whether the devices are free is for the reservation to say
	idle.Lent, idle.Free, idle.Draining = idle.Devices, idle.Devices, false
	_, d := market.MayBid(now, idle, &marketv1.Announcement{
		Network: w.Network, IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(BidLife).UnixMilli(),
		Gpu: a.spec.Gpu, Resources: a.spec.Resources, Platform: a.spec.Image.Platform, Egress: a.spec.Egress,
		ImageBytes: a.spec.Image.TotalBytes, ImageName: w.nameOf(a.spec.Image), ImageLayers: a.spec.Image.Layers,
		MaxPrice: t.Price, MaxDurationMs: t.MaxDurationMs,
	})
	if d != nil {
		return refuse(d.Reason, "%s", d.Text)
	}
	return nil
}

const (
	// maxUnpaid is how many intervals a task runs unpaid before it is frozen.
	maxUnpaid = 2
	// maxStart is how long devices are kept for somebody who has not come yet: a minute, and as much
	// as clocks may differ by.
	maxStart = time.Minute + job.MaxClockSkew
)

// compare holds the terms against the bid, the spec and the owner's policy.
func (w *Worker) compare(a award) error {
	t, b, now := a.terms.Message(), a.bid, w.Now()
	if err := job.CheckTerms(t); err != nil {
		return refuse(marketv1.DeclineReason_DECLINE_REASON_INVALID, "terms: %v", err)
	}
	if !w.serves(a.from) {
		return refuse(marketv1.DeclineReason_DECLINE_REASON_POLICY, "this worker's owner does not serve this requester")
	}
	if b.ExpiresMs < now.UnixMilli() {
		return refuse(marketv1.DeclineReason_DECLINE_REASON_EXPIRED, "the bid has expired")
	}
	digest := sha256.Sum256(a.request.Spec)
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{t.Network == w.Network, "network"},
		{bytes.Equal(t.Worker, w.self), "worker key"},
		{bytes.Equal(t.Requester, a.terms.Signer()), "requester key"},
		{bytes.Equal(t.WorkerNonce, b.Nonce), "nonce of the bid"},
		{t.Price == b.Price, "price"},
		{sameTags(t.GpuTags, b.Devices), "devices"},
		{t.Simulated == b.Simulated, "simulated mark"},
		{t.AbsentGraceMs <= b.MaxAbsentGraceMs, "absent grace"},
		{t.YieldNoticeMs <= b.YieldNoticeMs, "notice"},
		{t.IntervalMs >= MinInterval.Milliseconds() && t.IntervalMs <= MaxInterval.Milliseconds(), "interval"},
		{t.MaxUnpaid <= maxUnpaid, "max_unpaid"},
		{t.StartByMs > now.UnixMilli() && t.StartByMs-now.UnixMilli() <= maxStart.Milliseconds(), "start-by time"},
		{t.SealT <= maxSealRate*uint64(t.IntervalMs), "seal"},
		{bytes.Equal(t.SpecDigest, digest[:]), "spec digest"},
		{a.spec.Image.Digest == t.ImageDigest, "image digest"},
		{a.spec.Image.Platform == t.Platform, "platform"},
		{int(a.spec.Gpu.Count) == len(t.GpuTags), "device count"},
	} {
		if !c.ok {
			return refuse(marketv1.DeclineReason_DECLINE_REASON_INVALID, "terms: %s is not what the bid, the spec or this worker's policy says", c.what)
		}
	}
	return nil
}

func sameTags(tags [][]byte, devices []*marketv1.Device) bool {
	if len(tags) != len(devices) {
		return false
	}
	for i, d := range devices {
		if !bytes.Equal(tags[i], d.Tag) {
			return false
		}
	}
	return true
}

// reserve takes the devices with these tags, all or none.
func (w *Worker) reserve(id job.LeaseID, tags [][]byte) error {
	uuids, err := w.byTags(tags)
	if err != nil {
		return err
	}
	switch err := w.Config.Devices.Reserve(id.String(), uuids); {
	case errors.Is(err, gpu.ErrWithheld):
		return refuse(marketv1.DeclineReason_DECLINE_REASON_POLICY, "the owner does not lend a device of the bid any more")
	case err != nil:
		return refuse(marketv1.DeclineReason_DECLINE_REASON_GONE, "the devices were awarded to someone else")
	}
	return nil
}

// byTags finds the UUIDs of devices that are still in service.
func (w *Worker) byTags(tags [][]byte) ([]string, error) {
	byTag := map[statement.Hash]string{}
	for _, d := range w.Config.Devices.All() {
		byTag[statement.GPUTag(w.Network, d.UUID)] = d.UUID
	}
	var uuids []string
	for _, tag := range tags {
		uuid, ok := byTag[statement.Hash(tag)]
		if !ok {
			return nil, refuse(marketv1.DeclineReason_DECLINE_REASON_GONE, "a device of the bid is no longer here")
		}
		uuids = append(uuids, uuid)
	}
	return uuids, nil
}

// begin countersigns, makes the lease durable, and only then lets it be known.
func (w *Worker) begin(id job.LeaseID, a award) (*tenancy, error) {
	now := w.Now()
	counter := statement.SignPayload(w.Key, statement.TypeTerms, a.terms.Payload())
	agreement, err := lease.NewAgreement(counter, a.request.Terms)
	if err != nil {
		return nil, fmt.Errorf("countersign lease %s: %w", id.Short(), err)
	}
	l, err := lease.New(lease.Config{Role: lease.Worker, Agreement: agreement, Sign: w.sign}, now)
	if err != nil {
		return nil, refuse(marketv1.DeclineReason_DECLINE_REASON_INVALID, "terms: %v", err)
	}
	event, err := proto.Marshal(a.request)
	if err != nil {
		return nil, fmt.Errorf("record lease %s: %w", id.Short(), err)
	}
	said, err := proto.Marshal(counter)
	if err != nil {
		return nil, fmt.Errorf("record lease %s: %w", id.Short(), err)
	}
	rec := journal.Record{Key: id.String(), Kind: KindAward, At: now, Event: event, Statements: [][]byte{said}}
	err = w.Journal.Append(rec)
	if errors.Is(err, journal.ErrFull) { // its person is told: there is nothing to wait for
		return nil, refuse(marketv1.DeclineReason_DECLINE_REASON_FULL, "its disk is full")
	}
	if err != nil {
		return nil, fmt.Errorf("journal lease %s: %w", id.Short(), err)
	}
	return w.newTenancy(id, a, counter, l), nil
}

func (w *Worker) sign(t statement.Type, payload []byte) *marketv1.Signed {
	return statement.SignPayload(w.Key, t, payload)
}
