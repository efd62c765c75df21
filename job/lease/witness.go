package lease

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Witnesses change nothing about what follows what, nor about what is paid. A
// nonce that one gives out stands in the worker's next beat; once that beat is
// co-signed it is shown to the witness, and what the witness attests goes into the
// receipts of both sides. A witness that is late, away or wrong costs a lease nothing
// but that attestation.

// nonceRest is for how long a nonce that waits is not replaced: a witness that gives out
// others all the time does not have each of them written down.
const nonceRest = time.Minute

// nonceReceived keeps a witness's nonce for the next beat; a later one replaces it.
func (t *turn) nonceReceived(ev NonceReceived) error {
	if t.phase != phaseWaiting && t.phase != phaseLive {
		return ErrOutOfOrder
	}
	n := len(t.Agreement.Terms.GetWitnesses())
	if int64(ev.Witness) >= int64(n) {
		return ErrWitness
	}
	nonces, came := make([][]byte, n), make([]time.Time, n)
	copy(nonces, t.worker.nonces)
	copy(came, t.worker.came)
	waits := nonces[ev.Witness]
	if waits != nil && (bytes.Equal(waits, ev.Nonce[:]) || t.now.Before(came[ev.Witness].Add(nonceRest))) {
		return ErrStale
	}
	nonces[ev.Witness], came[ev.Witness] = ev.Nonce[:], t.now
	t.worker.nonces, t.worker.came = nonces, came
	return nil
}

// leaves are those of the nonces, in the order of the terms.
func (l Lease) leaves(nonces [][]byte) [][]byte {
	var out [][]byte
	for i, n := range nonces {
		if n != nil {
			leaf := heartbeat.NonceLeaf(l.id, uint32(i), n)
			out = append(out, leaf[:])
		}
	}
	return out
}

// showWitnesses shows the beat that was just co-signed to every witness whose nonce
// stands in it.
func (t *turn) showWitnesses(nonces [][]byte) {
	t.chain.nonces = nonces
	for i, n := range nonces {
		if n == nil {
			continue
		}
		if bytes.Equal(t.worker.nonces[i], n) {
			t.worker.nonces = slices.Clone(t.worker.nonces)
			t.worker.nonces[i] = nil
		}
		if s := t.Shown(uint32(i)); s != nil {
			shown := make([]uint64, len(nonces))
			copy(shown, t.worker.shown)
			shown[i], t.worker.shown = t.chain.beats, shown
			t.do(ShowWitness{Witness: uint32(i), Shown: s})
		}
	}
}

// Shown is the last co-signed beat as a witness wants to see it; nil when its nonce
// does not stand in it, or it has attested to it, or this side forgot what to prove
// it with.
func (l Lease) Shown(witness uint32) *leasev1.Shown {
	if int64(witness) >= int64(len(l.chain.nonces)) || l.chain.nonces[witness] == nil || l.chain.heads == nil {
		return nil
	}
	s := &leasev1.Shown{Beat: l.chain.beat, Ack: l.chain.ack, Nonces: l.leaves(l.chain.nonces), Tree: l.prior.tree.Complete()}
	last := l.latest[witness]
	if last == nil {
		return s
	}
	if last.GetSeq()+1 >= l.chain.beats {
		return nil
	}
	proof, err := l.chain.heads.Consistency(last.GetSeq() + 2)
	if err != nil {
		return nil
	}
	s.Consistency = proof
	return s
}

// Unattested says whether a witness was shown a beat and has not attested to it yet.
func (l Lease) Unattested() bool {
	for i, beats := range l.worker.shown {
		if last := l.latest[uint32(i)]; beats > 0 && (last == nil || last.GetSeq()+1 < beats) {
			return true
		}
	}
	return false
}

// OpenAttest checks the signature of what came as an attestation of a witness of
// this lease, and makes it an event.
func (l Lease) OpenAttest(s *marketv1.Signed) (Attested, error) {
	m := &leasev1.Attest{}
	witnesses := l.Agreement.Terms.GetWitnesses()
	if err := proto.Unmarshal(s.GetPayload(), m); err != nil || int64(m.GetWitness()) >= int64(len(witnesses)) {
		return Attested{}, ErrWitness
	}
	a, err := statement.Open[*leasev1.Attest](s, statement.TypeAttest, witnesses[m.GetWitness()])
	return Attested{attest: a}, err
}

// attestReceived keeps an attestation of one of the heads, at the credit of its beat: one
// that says anything else would make the whole receipt one that nobody accepts.
func (t *turn) attestReceived(a statement.Verified[*leasev1.Attest]) error {
	m := a.Message()
	if err := heartbeat.CheckAttest(m); err != nil {
		return err
	}
	witnesses := t.Agreement.Terms.GetWitnesses()
	switch {
	case int64(m.GetWitness()) >= int64(len(witnesses)) || !bytes.Equal(a.Signer(), witnesses[m.GetWitness()]):
		return ErrSigner
	case !bytes.Equal(m.GetLeaseId(), t.id[:]):
		return ErrLease
	case m.GetSeq() >= t.chain.beats:
		return ErrSeq
	case t.chain.heads == nil:
		return ErrWitness // what it is about was forgotten
	case !bytes.Equal(m.GetHead(), t.chain.heads[m.GetSeq()+1][:]):
		return ErrHead
	case m.GetCreditMs() != t.chain.credits[m.GetSeq()]:
		return ErrAttest
	}
	if last := t.latest[m.GetWitness()]; last != nil && last.GetSeq() >= m.GetSeq() {
		return ErrStale
	}
	t.latest = maps.Clone(t.latest)
	if t.latest == nil {
		t.latest = map[uint32]*leasev1.Attest{}
	}
	t.latest[m.GetWitness()] = m
	t.attests = thin(append(slices.Clip(t.attests), attested{a.Signed(), m}))
	if t.Role == Worker {
		t.do(SendAttest{Attest: a.Signed()})
	}
	return nil
}
