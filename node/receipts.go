package node

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// receipts is the folder of receipts, one file for each lease and role. Proofs that
// the other side signed two things for one slot lie beside them.
type receipts struct {
	dir      string
	log      *slog.Logger
	foldable chan kept // wait for their seals to be folded
}

const (
	receiptSuffix = ".receipt"
	proofSuffix   = ".equivocation"
)

// kept is a receipt that verifies.
type kept struct {
	role    string
	file    []byte
	summary receipt.Summary
}

func openReceipts(dir string, log *slog.Logger) (*receipts, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of receipts: %w", err)
	}
	return &receipts{dir, log, make(chan kept, foldsWaiting)}, nil
}

// keep writes a receipt down, and says what it says. Keeping it again changes nothing. What both
// sides signed is never lost for what witnesses said of it.
func (r *receipts) keep(role string, rec *leasev1.Receipt) (receipt.Summary, error) {
	b, sum, err := pack(rec)
	if err != nil && len(rec.GetWitnessed()) > 0 {
		r.log.Error("a receipt is kept without its attestations, with which it is none", "role", role, "err", err)
		alone := proto.CloneOf(rec)
		alone.Witnessed, alone.Hashes = nil, nil
		b, sum, err = pack(alone)
	}
	if err != nil {
		return receipt.Summary{}, err
	}
	if err := journal.WriteFile(r.path(sum.LeaseID, role, receiptSuffix), b); err != nil {
		return receipt.Summary{}, err
	}
	r.offerToFold(kept{role, b, sum})
	return sum, nil
}

// pack is the file of a receipt, which verifies.
func pack(rec *leasev1.Receipt) ([]byte, receipt.Summary, error) {
	b, err := receipt.Marshal(rec)
	if err != nil {
		return nil, receipt.Summary{}, err
	}
	sum, err := receipt.Verify(b)
	if err != nil {
		return nil, sum, fmt.Errorf("our own receipt does not verify: %w", err)
	}
	return b, sum, nil
}

// KeepProof writes the proof of an equivocation down.
func (r *receipts) KeepProof(role string, e *leasev1.Equivocation) error {
	b, err := receipt.MarshalEquivocation(e)
	if err != nil {
		return err
	}
	f, err := receipt.VerifyEquivocation(b)
	if err != nil {
		return fmt.Errorf("the proof does not verify: %w", err)
	}
	r.log.Warn("the other side signed two things for one slot", "lease", f.LeaseID, "role", f.Role, "peer", f.Signer)
	return journal.WriteFile(r.path(f.LeaseID, role, proofSuffix), b)
}

// each calls fn with every receipt that verifies. One that does not is an error,
// but only after all others had their turn.
func (r *receipts) each(fn func(kept)) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var bad []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), receiptSuffix)
		if !ok {
			continue
		}
		b, err := os.ReadFile(filepath.Join(r.dir, e.Name()))
		if err != nil {
			bad = append(bad, err)
			continue
		}
		s, err := receipt.Verify(b)
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", e.Name(), err))
			continue
		}
		_, role, _ := strings.Cut(name, ".")
		fn(kept{role, b, s})
	}
	return errors.Join(bad...)
}

// find finds a receipt by the beginning of its lease's or job's id. Where one node
// was both sides, the requester's is given.
func (r *receipts) find(id string) (kept, error) {
	found := map[string]kept{}
	err := r.each(func(k kept) {
		if id == "" || !strings.HasPrefix(k.summary.LeaseID, id) && !strings.HasPrefix(k.summary.JobID, id) {
			return
		}
		if _, ok := found[k.summary.LeaseID]; !ok || k.role == "requester" {
			found[k.summary.LeaseID] = k
		}
	})
	if len(found) > 1 {
		return kept{}, fmt.Errorf("%s: %w", id, control.ErrAmbiguous)
	}
	for _, k := range found {
		return k, nil
	}
	if err != nil { // it may be the one
		return kept{}, err
	}
	return kept{}, fmt.Errorf("receipt of %s: %w", id, control.ErrNotFound)
}

// Receipt gives the file of the receipt that find finds.
func (r *receipts) Receipt(id string) (string, []byte, error) {
	k, err := r.find(id)
	return k.summary.LeaseID, k.file, err
}

// all gives every receipt, oldest first.
func (r *receipts) all() ([]kept, error) {
	var all []kept
	err := r.each(func(k kept) { all = append(all, k) })
	slices.SortStableFunc(all, func(a, b kept) int {
		return cmp.Or(a.summary.To.Compare(b.summary.To), cmp.Compare(a.summary.LeaseID, b.summary.LeaseID))
	})
	return all, err
}

// ListReceipts tells of every receipt, oldest first.
func (r *receipts) ListReceipts() ([]*controlv1.ReceiptLine, error) {
	all, err := r.all()
	if err != nil {
		r.log.Warn("receipts that cannot be read are not listed", "err", err)
	}
	var out []*controlv1.ReceiptLine
	for _, k := range all {
		s := k.summary
		other := s.Worker
		if k.role == "worker" {
			other = s.Requester
		}
		out = append(out, &controlv1.ReceiptLine{
			LeaseId: s.LeaseID, JobId: s.JobID, Role: k.role, PeerId: other,
			CreditMs: s.CreditMS, Amount: s.Amount, EndedMs: s.To.UnixMilli(), Simulated: s.Simulated,
		})
	}
	return out, nil
}

// ReadReceipts gives fn every receipt of a lease that ended in a time, oldest first. One
// that cannot be read is an error: sums over the others would be wrong.
func (r *receipts) ReadReceipts(from, to time.Time, fn func(role string, file []byte) error) error {
	all, err := r.all()
	if err != nil {
		return err
	}
	for _, k := range all {
		if at := k.summary.To; at.Before(from) || !at.Before(to) {
			continue
		}
		if err := fn(k.role, k.file); err != nil {
			return err
		}
	}
	return nil
}

// Proof gives the proof of an equivocation by the beginning of its lease's id.
func (r *receipts) Proof(id string) (string, []byte, error) {
	names, err := filepath.Glob(filepath.Join(r.dir, "*"+proofSuffix))
	if err != nil {
		return "", nil, err
	}
	found := map[string]string{}
	for _, name := range names {
		if lease, _, _ := strings.Cut(filepath.Base(name), "."); id != "" && strings.HasPrefix(lease, id) {
			found[lease] = name
		}
	}
	if len(found) > 1 {
		return "", nil, fmt.Errorf("%s: %w", id, control.ErrAmbiguous)
	}
	for lease, name := range found {
		b, err := os.ReadFile(name)
		return lease, b, err
	}
	return "", nil, fmt.Errorf("proof of an equivocation in lease %s: %w", id, control.ErrNotFound)
}
