package history

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func beat(t *testing.T, interval, credit uint64) []byte {
	t.Helper()
	payload, err := proto.Marshal(&leasev1.Beat{LeaseId: []byte("lease"), Interval: interval, CreditMs: credit})
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(&marketv1.Signed{Type: "beat", Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func journalOf(t *testing.T, statements ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if err := j.Append(journal.Record{Key: "k", Kind: "test", At: time.Unix(1, 0), Statements: [][]byte{s}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheSameStatementTwiceIsFine(t *testing.T) {
	count, err := Read(journalOf(t, beat(t, 1, 10), beat(t, 1, 10), beat(t, 2, 20)))
	if err != nil || count["beat"] != 3 {
		t.Fatalf("%v, %v", count, err)
	}
}

func TestTwoStatementsForOneSlotAreFound(t *testing.T) {
	_, err := Read(journalOf(t, beat(t, 1, 10), beat(t, 1, 11)))
	if err == nil || !strings.Contains(err.Error(), "interval 1") {
		t.Fatalf("got %v", err)
	}
}

func TestAFolderThatIsNotThereIsNoHistory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	if count, err := Read(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v", count, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it was made by being read")
	}
}
