package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// receipts is the folder of receipts, one file for each lease and role.
type receipts struct {
	dir string
	log *slog.Logger
}

func openReceipts(dir string, log *slog.Logger) (*receipts, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of receipts: %w", err)
	}
	return &receipts{dir, log}, nil
}

// Keep writes a receipt down. Keeping it again changes nothing.
func (r *receipts) Keep(role string, rec *leasev1.Receipt) error {
	b, err := receipt.Marshal(rec)
	if err != nil {
		return err
	}
	sum, err := receipt.Verify(b)
	if err != nil {
		return fmt.Errorf("our own receipt does not verify: %w", err)
	}
	path := filepath.Join(r.dir, sum.LeaseID+"."+role+".receipt")
	return journal.WriteFile(path, b)
}

// each calls fn with every receipt that verifies. One that does not is an error,
// but only after all others had their turn.
func (r *receipts) each(fn func(role string, file []byte, s receipt.Summary)) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var bad []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".receipt")
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
		fn(role, b, s)
	}
	return errors.Join(bad...)
}

// Receipt finds a receipt by the beginning of its lease's or job's id. Where one
// node was both sides, the requester's is given.
func (r *receipts) Receipt(id string) (string, []byte, error) {
	found := map[string][]byte{}
	err := r.each(func(role string, file []byte, s receipt.Summary) {
		if id != "" && (strings.HasPrefix(s.LeaseID, id) || strings.HasPrefix(s.JobID, id)) {
			if found[s.LeaseID] == nil || role == "requester" {
				found[s.LeaseID] = file
			}
		}
	})
	if len(found) > 1 {
		return "", nil, fmt.Errorf("%s: %w", id, control.ErrAmbiguous)
	}
	for lease, file := range found {
		return lease, file, nil
	}
	if err != nil { // it may be the one
		return "", nil, err
	}
	return "", nil, fmt.Errorf("receipt of %s: %w", id, control.ErrNotFound)
}

// ListReceipts tells of every receipt, oldest first.
func (r *receipts) ListReceipts() ([]*controlv1.ReceiptLine, error) {
	var out []*controlv1.ReceiptLine
	err := r.each(func(role string, _ []byte, s receipt.Summary) {
		other := s.Worker
		if role == "worker" {
			other = s.Requester
		}
		out = append(out, &controlv1.ReceiptLine{
			LeaseId: s.LeaseID, JobId: s.JobID, Role: role, PeerId: other,
			CreditMs: s.CreditMS, Amount: s.Amount, EndedMs: s.To.UnixMilli(), Simulated: s.Simulated,
		})
	})
	sort.Slice(out, func(a, b int) bool { return out[a].EndedMs < out[b].EndedMs })
	if err != nil {
		r.log.Warn("receipts that cannot be read are not listed", "err", err)
	}
	return out, nil
}
