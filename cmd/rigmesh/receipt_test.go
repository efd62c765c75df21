package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/job/receipt"
)

// withReceipts is a fake node that holds the worked lease of proto/vectors.
func withReceipts(t *testing.T) *fakeNode {
	t.Helper()
	f, dir := startFakeNode(t), t.TempDir()
	if err := writeReceipts(dir); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]*[]byte{"lease.receipt": &f.receipt, "lease.whole": &f.whole, "fraud.equivocation": &f.proof} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		*at = b
	}
	return f
}

func TestMonthIsATableOfExactAmounts(t *testing.T) {
	f, dir := withReceipts(t), t.TempDir()
	_, stderr, code := f.rigmesh("receipt", "export", "--month", "2027-01", dir+"/january.csv")
	if code != 0 || f.month != "2027-01-01 to 2027-02-01" || !strings.Contains(stderr, "2027-01: 2 leases, earned 0.001385 credits, spent 0.001385 credits") {
		t.Fatalf("exit code %d, %s, %s", code, f.month, stderr)
	}
	file, err := os.Open(dir + "/january.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) != 3 || !slices.Equal(rows[0], monthColumns) {
		t.Fatalf("%v, %v", rows, err)
	}
	want := []string{
		"worker", "2027-01-15T08:00:01Z", "2027-01-15T08:00:15Z", "1", "14250", "0.35", "0.001385", "1385", "0.000722", "0",
		"the task ended by itself", "signed by both", "false", "false",
	}
	if got := append(rows[1][2:3:3], rows[1][4:]...); !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if rows[1][3] == rows[2][3] {
		t.Error("both sides are each other's counterparty, not one")
	}
}

func TestMonthAsJSONSaysTheSame(t *testing.T) {
	f := withReceipts(t)
	stdout, _, code := f.rigmesh("receipt", "export", "--month", "2027-01", "--json", "-")
	var book monthBook
	if err := json.Unmarshal([]byte(stdout), &book); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v, %s", code, err, stdout)
	}
	if book.EarnedMicro != 1385 || book.SpentMicro != 1385 || len(book.Leases) != 2 || book.Leases[0].Amount != "0.001385" {
		t.Errorf("%+v", book)
	}
}

func TestMonthThatCannotBeSavedIsNotSummedUp(t *testing.T) {
	f, name := withReceipts(t), filepath.Join(t.TempDir(), "january.csv")
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := f.rigmesh("receipt", "export", "--month", "2027-01", name)
	if code != 1 || !strings.Contains(stderr, "exists") || strings.Contains(stderr, "leases, earned") {
		t.Errorf("over another file: exit code %d, %s", code, stderr)
	}
	f.receipt[len(f.receipt)-1] ^= 1
	_, stderr, code = f.rigmesh("receipt", "export", "--month", "2027-01", name+".new")
	if code != 1 || !strings.Contains(stderr, "receipt 1 of 2027-01: this receipt proves nothing: the file is damaged") || !strings.Contains(stderr, "rigmesh: hint: ") {
		t.Errorf("with a damaged receipt: exit code %d, %s", code, stderr)
	}
	if _, err := os.Stat(name + ".new"); err == nil {
		t.Error("a month with a damaged receipt was saved")
	}
}

func TestReceiptOfTheNodeIsShownWithItsHeartbeats(t *testing.T) {
	f := withReceipts(t)
	f.missing = []string{"the samples of 3 heartbeats"}
	stdout, stderr, code := f.rigmesh("receipt", "show", "77aa")
	if code != 0 || !strings.Contains(stdout, "1 × rtx-4090") || stderr != "" {
		t.Errorf("show: exit code %d, %s\n%s", code, stderr, stdout)
	}
	stdout, stderr, code = f.rigmesh("receipt", "audit", "77aa")
	if code != 0 || !strings.Contains(stdout, "signed by both; replayed") || !strings.Contains(stderr, "missing: the samples of 3 heartbeats") {
		t.Errorf("audit: exit code %d, %s\n%s", code, stderr, stdout)
	}
	f.whole = nil
	stdout, _, code = f.rigmesh("receipt", "show", "77aa")
	if code != 0 || !strings.Contains(stdout, "proof      signed by both\n") {
		t.Errorf("show without a journal: exit code %d\n%s", code, stdout)
	}
	if _, stderr, code = f.rigmesh("receipt", "audit", "77aa"); code != 1 || !strings.Contains(stderr, "heartbeats of lease 77aa") {
		t.Errorf("audit without a journal: exit code %d, %s", code, stderr)
	}
}

func TestEachKindOfFileIsExported(t *testing.T) {
	f, dir := withReceipts(t), t.TempDir()
	for flag, want := range map[string][]byte{"": f.receipt, "--whole": f.whole, "--proof": f.proof} {
		args := slices.DeleteFunc([]string{"receipt", "export", flag, "77aa", dir + "/x" + flag}, func(s string) bool { return s == "" })
		if _, stderr, code := f.rigmesh(args...); code != 0 {
			t.Fatalf("export %s: exit code %d, %s", flag, code, stderr)
		}
		if got, err := os.ReadFile(dir + "/x" + flag); err != nil || !slices.Equal(got, want) {
			t.Errorf("export %s: %v, %d bytes", flag, err, len(got))
		}
		if _, stderr, code := f.rigmesh(args...); code != 1 || !strings.Contains(stderr, "exists") {
			t.Errorf("again: exit code %d, %s", code, stderr)
		}
	}
}

func TestVerdictSaysWhatMakesAReceiptWorthLess(t *testing.T) {
	var out strings.Builder
	s := receipt.Summary{Proof: "signed by both", Simulated: true, SelfDealt: true, Disputed: []string{"another image", "no samples"}}
	if err := verdict(&out, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nSimulated: ", "\nSelf-dealt: ", "\nDisputed by the requester: another image; no samples.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
