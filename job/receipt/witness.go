package receipt

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Policy says whose word counts for whoever verifies. The zero policy takes the
// witnesses and the quorum of the terms as they are, and demands nothing.
type Policy struct {
	Witnesses []ed25519.PublicKey // that count; empty: all that the terms name
	Quorum    int                 // how many of them must have attested; 0: the terms' quorum, and none need to
}

// ErrQuorum: the receipt is good, and fewer witnesses attested to it than the policy demands.
var ErrQuorum = errors.New("not witnessed as demanded")

// Witnesses is what the witnesses that count say of a lease, by their own clocks.
type Witnesses struct {
	Named    int       `json:"named"`    // in the terms
	Counting int       `json:"counting"` // for the verifier's policy
	Attested int       `json:"attested"` // of these, to something of this lease
	Quorum   int       `json:"quorum"`
	CreditMS uint64    `json:"credit_ms"`     // that a quorum attested to; 0 without
	From     time.Time `json:"from,omitzero"` // when a quorum had seen the lease; zero without
	To       time.Time `json:"to,omitzero"`   // up to when a quorum saw it live; zero without
}

// attested is one checked attestation.
type attested = statement.Verified[*leasev1.Attest]

// takeWitnessed checks every attestation of a receipt: its signature, and that the
// head it names is in the chain that both sides signed.
func (e *checked) takeWitnessed(r *leasev1.Receipt) error {
	used := make([]bool, len(r.GetHashes()))
	for i, w := range r.GetWitnessed() {
		if err := e.takeAttest(w, r.GetHashes(), used); err != nil {
			return fmt.Errorf("attestation %d: %w", i, err)
		}
	}
	for i, h := range r.GetHashes() {
		if !used[i] || len(h) != len(statement.Hash{}) || slices.ContainsFunc(r.GetHashes()[:i], func(o []byte) bool { return bytes.Equal(o, h) }) {
			return fmt.Errorf("hash %d: unused, there twice, or not 32 bytes: %w", i, ErrChain)
		}
	}
	return nil
}

func (e *checked) takeAttest(w *leasev1.Witnessed, hashes [][]byte, used []bool) error {
	v, err := e.openAttest(&marketv1.Signed{Type: string(statement.TypeAttest), Payload: w.GetAttest(), Signature: w.GetSignature()})
	if err != nil {
		return err
	}
	a := v.Message()
	if err := heartbeat.CheckAttest(a); err != nil {
		return fmt.Errorf("witness %d: %w", a.GetWitness(), err)
	}
	if n := len(e.attests); n > 0 {
		if b := e.attests[n-1].Message(); a.GetSeq() < b.GetSeq() || a.GetSeq() == b.GetSeq() && a.GetWitness() <= b.GetWitness() {
			return fmt.Errorf("not in the order of seq and witness: %w", ErrChain)
		}
	}
	if e.beat == nil || a.GetSeq() > e.beat.GetSeq() || a.GetCreditMs() > e.beat.GetCreditMs() {
		return fmt.Errorf("of more than was co-signed: %w", ErrChain)
	}
	if err := e.inTree(a, w.GetPath(), hashes, used); err != nil {
		return err
	}
	e.attests = append(e.attests, v)
	return nil
}

// openAttest opens an attestation of a witness of the terms.
func (e *checked) openAttest(s *marketv1.Signed) (attested, error) {
	m := &leasev1.Attest{}
	if err := proto.Unmarshal(s.GetPayload(), m); err != nil {
		return attested{}, fmt.Errorf("%w: %w", statement.ErrMalformed, err)
	}
	if uint64(m.GetWitness()) >= uint64(len(e.terms.GetWitnesses())) {
		return attested{}, fmt.Errorf("the terms name no witness %d: %w", m.GetWitness(), ErrChain)
	}
	v, err := statement.Open[*leasev1.Attest](s, statement.TypeAttest, e.terms.GetWitnesses()[m.GetWitness()])
	if err != nil {
		return attested{}, fmt.Errorf("witness %d: %w", m.GetWitness(), err)
	}
	return v, e.mine(m.GetLeaseId())
}

// inTree checks that the attested head is the one after the beat it names: the last
// head of the receipt, or one in the tree that the last beat names.
func (e *checked) inTree(a *leasev1.Attest, path []uint32, hashes [][]byte, used []bool) error {
	if a.GetSeq() == e.beat.GetSeq() {
		if len(path) != 0 || !bytes.Equal(a.GetHead(), e.head[:]) {
			return fmt.Errorf("another head than the receipt's: %w", ErrChain)
		}
		return nil
	}
	proof := make([][]byte, 0, len(path))
	for _, at := range path {
		if uint64(at) >= uint64(len(hashes)) {
			return fmt.Errorf("its path names a hash that is not there: %w", ErrChain)
		}
		used[at] = true
		proof = append(proof, hashes[at])
	}
	if err := heartbeat.CheckPath(proof, e.beat.GetSeq()+1, e.beat.GetTreeRoot(), a.GetSeq()+1, a.GetHead()); err != nil {
		return fmt.Errorf("%w: %w", err, ErrChain)
	}
	return nil
}

// witnessing sums up what the witnesses say that count under a policy.
func (e *checked) witnessing(p Policy) Witnesses {
	w := Witnesses{Named: len(e.terms.GetWitnesses()), Quorum: p.Quorum}
	if w.Quorum == 0 {
		w.Quorum = int(e.terms.GetWitnessQuorum())
	}
	last := make([]*leasev1.Attest, w.Named)
	for _, v := range e.attests {
		last[v.Message().GetWitness()] = v.Message() // they come by seq
	}
	var credit []uint64
	var first, asked []int64
	for i, key := range e.terms.GetWitnesses() {
		if !p.counts(key) {
			continue
		}
		w.Counting++
		if a := last[i]; a != nil {
			w.Attested++
			credit, first, asked = append(credit, a.GetCreditMs()), append(first, a.GetFirstMs()), append(asked, a.GetAskedMs())
		}
	}
	if q := w.Quorum; q > 0 && w.Attested >= q {
		slices.Sort(credit)
		slices.Sort(first)
		slices.Sort(asked)
		w.CreditMS, w.From, w.To = credit[len(credit)-q], moment(first[q-1]), moment(asked[len(asked)-q])
	}
	return w
}

func (p Policy) counts(key []byte) bool {
	return len(p.Witnesses) == 0 || slices.ContainsFunc(p.Witnesses, func(k ed25519.PublicKey) bool { return bytes.Equal(k, key) })
}

// demand is an error when a policy wants more witnesses than there are.
func (p Policy) demand(w Witnesses) error {
	if p.Quorum <= w.Attested {
		return nil
	}
	return fmt.Errorf("%w: %d of the %d witnesses that count attested, and %d must have", ErrQuorum, w.Attested, w.Counting, p.Quorum)
}
