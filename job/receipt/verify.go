package receipt

import (
	"bytes"
	"errors"
	"fmt"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// ErrChain: the statements are genuine and do not belong together.
var ErrChain = errors.New("does not follow from the rest of the receipt")

// ErrEmpty: there are terms, and nothing came of them.
var ErrEmpty = errors.New("holds neither a co-signed beat nor a close")

// checked is a receipt whose every signature was checked.
type checked struct {
	terms *leasev1.Terms
	beat  *leasev1.Beat // nil without a co-signed beat
	ack   *leasev1.Ack
	close *leasev1.Close // nil without a close
	both  bool           // both signed the close
	head  statement.Hash // after the last co-signed beat
	id    statement.Hash

	attests []attested // in the order of the receipt
}

// Verify checks a receipt's file in full: every signature, that the statements
// belong to one lease and follow from each other, and the sums. The error names
// the part that is wrong. It needs no network and no clock.
func Verify(file []byte) (Summary, error) { return Policy{}.Verify(file) }

// VerifyReceipt checks a receipt that is not in a file.
func VerifyReceipt(r *leasev1.Receipt) (Summary, error) { return Policy{}.verify(r) }

// Verify is the package's Verify for a policy. With ErrQuorum the summary is good all the same.
func (p Policy) Verify(file []byte) (Summary, error) {
	r, err := Parse(file)
	if err != nil {
		return Summary{}, err
	}
	return p.verify(r)
}

func (p Policy) verify(r *leasev1.Receipt) (Summary, error) {
	e, err := check(r)
	if err != nil {
		return Summary{}, err
	}
	s, err := e.summary(p)
	if err != nil {
		return Summary{}, err
	}
	return s, p.demand(s.Witnesses)
}

func check(r *leasev1.Receipt) (*checked, error) {
	var e checked
	if r.GetVersion() != statement.Version {
		return nil, fmt.Errorf("%w %d", statement.ErrVersion, r.GetVersion())
	}
	if err := e.takeTerms(r); err != nil {
		return nil, fmt.Errorf("terms: %w", err)
	}
	if r.GetLastBeat() != nil || r.GetLastAck() != nil {
		if _, err := e.takePair(r.GetLastBeat(), r.GetLastAck()); err != nil {
			return nil, fmt.Errorf("last %w", err)
		}
	}
	if err := e.takeClose(r); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	if e.ack == nil && e.close == nil {
		return nil, ErrEmpty
	}
	return &e, e.takeWitnessed(r)
}

func (e *checked) takeTerms(r *leasev1.Receipt) error {
	typ := string(statement.TypeTerms)
	w, err := statement.OpenWorkerTerms(&marketv1.Signed{Type: typ, Payload: r.GetTerms(), Signature: r.GetTermsWorkerSignature()})
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	q := &marketv1.Signed{Type: typ, Payload: r.GetTerms(), Signature: r.GetTermsRequesterSignature()} // the worker's payload: it parsed
	if err := statement.CheckSignature(q, w.Message().GetRequester()); err != nil {
		return fmt.Errorf("requester: %w", err)
	}
	e.terms, e.id = w.Message(), w.Hash()
	e.head = heartbeat.Head0(r.GetTerms(), r.GetTermsWorkerSignature(), r.GetTermsRequesterSignature())
	return job.CheckTerms(e.terms)
}

// takePair checks a co-signed beat. The head before it is head 0 if it is the
// first, and the one after it is e.head from then on.
func (e *checked) takePair(b, a *marketv1.Signed) (beat statement.Verified[*leasev1.Beat], err error) {
	beat, err = statement.Open[*leasev1.Beat](b, statement.TypeBeat, e.terms.GetWorker())
	if err != nil {
		return beat, fmt.Errorf("beat: worker: %w", err)
	}
	ack, err := statement.Open[*leasev1.Ack](a, statement.TypeAck, e.terms.GetRequester())
	if err != nil {
		return beat, fmt.Errorf("ack: requester: %w", err)
	}
	e.beat, e.ack = beat.Message(), ack.Message()
	if err := errors.Join(heartbeat.CheckBeat(e.beat, heartbeat.OptionsOf(e.terms)), e.mine(e.beat.GetLeaseId()), e.price(e.beat)); err != nil {
		return beat, fmt.Errorf("beat: %w", err)
	}
	if e.beat.GetSeq() == 0 && !bytes.Equal(e.beat.GetPrevHead(), e.head[:]) {
		return beat, fmt.Errorf("beat: prev_head: %w", ErrChain)
	}
	hash := beat.Hash()
	if err := errors.Join(heartbeat.CheckAck(e.ack), e.mine(e.ack.GetLeaseId()), e.price(e.ack), e.acks(hash)); err != nil {
		return beat, fmt.Errorf("ack: %w", err)
	}
	e.head = heartbeat.NextHead(b, a)
	return beat, nil
}

// acks checks that the ack is one of this very beat.
func (e *checked) acks(beat statement.Hash) error {
	same := bytes.Equal(e.ack.GetBeatHash(), beat[:]) &&
		e.ack.GetSeq() == e.beat.GetSeq() && e.ack.GetInterval() == e.beat.GetInterval() &&
		e.ack.GetCreditMs() == e.beat.GetCreditMs()
	if !same {
		return fmt.Errorf("of another beat: %w", ErrChain)
	}
	return nil
}

func (e *checked) takeClose(r *leasev1.Receipt) error {
	if len(r.GetClose()) == 0 && len(r.GetCloseWorkerSignature()) == 0 && len(r.GetCloseRequesterSignature()) == 0 {
		return nil
	}
	typ := string(statement.TypeClose)
	c, err := statement.Open[*leasev1.Close](
		&marketv1.Signed{Type: typ, Payload: r.GetClose(), Signature: r.GetCloseWorkerSignature()},
		statement.TypeClose, e.terms.GetWorker())
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if sig := r.GetCloseRequesterSignature(); len(sig) > 0 {
		s := &marketv1.Signed{Type: typ, Payload: r.GetClose(), Signature: sig}
		if err := statement.CheckSignature(s, e.terms.GetRequester()); err != nil {
			return fmt.Errorf("requester: %w", err)
		}
		e.both = true
	}
	e.close = c.Message()
	return errors.Join(heartbeat.CheckClose(e.close, heartbeat.OptionsOf(e.terms)), e.mine(e.close.GetLeaseId()), e.price(e.close), e.follows())
}

// follows checks that the close ends this very chain.
func (e *checked) follows() error {
	beats, credit := uint64(0), uint64(0)
	if e.beat != nil {
		beats, credit = e.beat.GetSeq()+1, e.beat.GetCreditMs()
	}
	switch c := e.close; {
	case c.GetBeats() != beats:
		return fmt.Errorf("counts %d beats, not %d: %w", c.GetBeats(), beats, ErrChain)
	case !bytes.Equal(c.GetPrevHead(), e.head[:]):
		return fmt.Errorf("prev_head: %w", ErrChain)
	case c.GetCreditMs() < credit:
		return fmt.Errorf("credits less than was acked: %w", ErrChain)
	}
	return nil
}

func (e *checked) mine(leaseID []byte) error {
	if !bytes.Equal(leaseID, e.id[:]) {
		return fmt.Errorf("of another lease: %w", ErrChain)
	}
	return nil
}

// price checks the sums of one statement against the terms.
func (e *checked) price(s interface {
	GetCreditMs() uint64
	GetAmount() uint64
}) error {
	want, err := job.Amount(s.GetCreditMs(), e.terms.GetPrice(), len(e.terms.GetGpuTags()))
	if err != nil {
		return err
	}
	if s.GetAmount() != want || want > e.terms.GetMaxAmount() || s.GetCreditMs() > uint64(e.terms.GetMaxDurationMs()) {
		return fmt.Errorf("amount %d for %d ms is not what the terms give: %w", s.GetAmount(), s.GetCreditMs(), ErrChain)
	}
	return nil
}
