package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// receipts is the folder of receipts, one file for each lease and role.
type receipts struct{ dir string }

func openReceipts(dir string) (*receipts, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of receipts: %w", err)
	}
	return &receipts{dir}, nil
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
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// each calls fn with every receipt that verifies.
func (r *receipts) each(fn func(role string, file []byte, s receipt.Summary)) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".receipt")
		if !ok {
			continue
		}
		b, err := os.ReadFile(filepath.Join(r.dir, e.Name()))
		if err != nil {
			return err
		}
		s, err := receipt.Verify(b)
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
		_, role, _ := strings.Cut(name, ".")
		fn(role, b, s)
	}
	return nil
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
	switch {
	case err != nil:
		return "", nil, err
	case len(found) > 1:
		return "", nil, fmt.Errorf("%s: %w", id, control.ErrAmbiguous)
	}
	for lease, file := range found {
		return lease, file, nil
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
	return out, errors.Join(err)
}

// hexOf is how ids are shown.
func hexOf(b []byte) string { return hex.EncodeToString(b) }
