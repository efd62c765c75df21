package control

import (
	"errors"
	"testing"
	"time"
)

func TestWholeLeaseComesInPiecesAndSaysWhatIsMissing(t *testing.T) {
	c := newFakeNode().dial(t)
	file, missing, err := c.OpenLease(t.Context(), "lease", true)
	if err != nil || len(file) != wholeSize || len(missing) != 1 {
		t.Errorf("%d bytes, %v, %v", len(file), missing, err)
	}
	if file, missing, err = c.OpenLease(t.Context(), "lease", false); err != nil || len(file) != 0 || missing != nil {
		t.Errorf("without samples: %d bytes, %v, %v", len(file), missing, err)
	}
	if _, _, err := c.OpenLease(t.Context(), "other", false); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown lease: %v", err)
	}
	if _, _, err := c.Proof(t.Context(), "lease"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no proof: %v", err)
	}
}

func TestReceiptsOfATimeComeOneByOne(t *testing.T) {
	c := newFakeNode().dial(t)
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var got []string
	for r, err := range c.ReadReceipts(t.Context(), from, from.Add(3*time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(r.Receipt))
	}
	if len(got) != 3 || got[2] != "02:00:00" {
		t.Errorf("%q", got)
	}
	for range c.ReadReceipts(t.Context(), from, from.Add(1000*time.Hour)) {
		break // whoever leaves early ends the call
	}
}
