package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// served is the receipt of a lease that was served for two seconds.
func served(t *testing.T, requester string) (r *leasev1.Receipt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wk, rk := sessiontest.Key("worker"), sessiontest.Key(requester)
		terms := sessiontest.Terms(wk, rk, time.Now())
		terms.JobId = sessiontest.Public(rk)[:16]
		lw, lr := sessiontest.Lease(t, wk, rk, terms, time.Now())
		ws := sessiontest.Worker(lw, &sessiontest.Journal{}, func(context.Context, lease.Effect) {})
		rs := sessiontest.Requester(lr, &sessiontest.Journal{})
		for _, s := range []*session.Session{ws, rs} {
			go func() { _ = s.Run(t.Context()) }()
		}
		ofWorker, ofRequester := session.Pipe("w", "r")
		if err := errors.Join(ws.Attach(t.Context(), ofWorker), rs.Attach(t.Context(), ofRequester)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		ws.Post(t.Context(), lease.TaskRunning{})
		time.Sleep(2 * time.Second)
		ws.Post(t.Context(), lease.TaskFailed{Exit: &leasev1.Exit{Code: 125, Error: "no"}})
		<-ws.Done()
		<-rs.Done()
		r = ws.Lease().Receipt()
	})
	return r
}

func TestAReceiptIsKeptWithoutAttestationsThatDoNotFit(t *testing.T) {
	r, err := openReceipts(filepath.Join(t.TempDir(), "receipts"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*leasev1.Receipt){
		"garbage":  func(r *leasev1.Receipt) { r.Witnessed = []*leasev1.Witnessed{{Attest: []byte{1}}} },
		"too much": func(r *leasev1.Receipt) { r.Witnessed = []*leasev1.Witnessed{{Attest: make([]byte, receipt.MaxSize)}} },
		"neither":  func(r *leasev1.Receipt) { r.Witnessed, r.LastAck = []*leasev1.Witnessed{{}}, nil },
	} {
		rec := served(t, name)
		spoil(rec)
		_, err := r.keep("worker", rec)
		if (err == nil) != (name != "neither") {
			t.Errorf("%s: %v", name, err)
		}
		if len(rec.Witnessed) != 1 {
			t.Errorf("%s: what was handed in has changed", name)
		}
	}
	if lines, err := r.ListReceipts(); err != nil || len(lines) != 2 {
		t.Errorf("%d receipts are kept, %v", len(lines), err)
	}
}

func TestReceiptsAreFoundByTheBeginningOfAnId(t *testing.T) {
	r, err := openReceipts(filepath.Join(t.TempDir(), "receipts"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	one, two := served(t, "one"), served(t, "two")
	for _, kept := range []struct {
		role string
		r    *leasev1.Receipt
	}{{"worker", one}, {"requester", one}, {"worker", one}, {"requester", two}} {
		if _, err := r.keep(kept.role, kept.r); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := r.ListReceipts()
	if err != nil || len(lines) != 3 {
		t.Fatalf("list: %v, %v; want one line for each lease and role", lines, err)
	}
	for _, l := range lines {
		for _, id := range []string{l.LeaseId, l.LeaseId[:12], l.JobId, l.JobId[:12]} {
			lease, file, err := r.Receipt(id)
			if err != nil || lease != l.LeaseId || len(file) == 0 {
				t.Errorf("receipt of %s: %s, %v", id, lease, err)
			}
		}
	}
	for _, id := range []string{"", "zz", lines[0].LeaseId + "0"} {
		if _, _, err := r.Receipt(id); !errors.Is(err, control.ErrNotFound) {
			t.Errorf("receipt of %q: %v; want not found", id, err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "damaged.worker.receipt"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, err := r.ListReceipts(); err != nil || len(lines) != 3 {
		t.Errorf("one is damaged: %v, %v; want the others all the same", lines, err)
	}
	if _, _, err := r.Receipt(lines[0].LeaseId); err != nil {
		t.Errorf("one is damaged, another is asked for: %v", err)
	}
	if _, _, err := r.Receipt("zz"); err == nil || errors.Is(err, control.ErrNotFound) {
		t.Errorf("one is damaged, and may be the one: %v", err)
	}
}

func TestAnAmbiguousIdIsNotGuessed(t *testing.T) {
	r, err := openReceipts(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[byte]bool{}
	for n := 0; ; n++ {
		rec := served(t, string(rune('a'+n)))
		if _, err := r.keep("worker", rec); err != nil {
			t.Fatal(err)
		}
		lines, err := r.ListReceipts()
		if err != nil {
			t.Fatal(err)
		}
		clear(seen)
		for _, l := range lines {
			if first := l.LeaseId[0]; seen[first] {
				if _, _, err := r.Receipt(string(first)); !errors.Is(err, control.ErrAmbiguous) {
					t.Errorf("receipt of %c: %v", first, err)
				}
				return
			}
			seen[l.LeaseId[0]] = true
		}
	}
}

func TestWhatWasEarnedIsNotReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "receipts")
	r, err := openReceipts(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	open := func() *standing {
		return openStanding(filepath.Join(t.TempDir(), "standing"), r, time.Now, slog.New(slog.DiscardHandler))
	}
	s := open()
	counted := countedReceipts{r, s}
	rec := served(t, "one")
	for _, role := range []string{"worker", "worker", "requester"} {
		if err := counted.Keep(role, rec); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := r.ListReceipts()
	if err != nil || len(lines) != 2 || lines[0].Amount == 0 {
		t.Fatalf("list: %v, %v", lines, err)
	}
	if got := s.Earned(); got != lines[0].Amount {
		t.Errorf("earned %d; want %d, once", got, lines[0].Amount)
	}
	if got := open().Earned(); got != lines[0].Amount {
		t.Errorf("after a restart %d; want %d", got, lines[0].Amount)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := s.Earned(); got != lines[0].Amount {
		t.Errorf("with no file left to read %d; want %d", got, lines[0].Amount)
	}
}
