package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWhatWasAppendedIsReplayedInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMemory()
		var want []Record
		for range rapid.IntRange(1, 4).Draw(t, "runs") {
			j, err := OpenFS(m)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rapid.SliceOfN(anyRecord, 0, 5).Draw(t, "records") {
				if err := j.Append(r); err != nil {
					t.Fatal(err)
				}
				want = append(want, r)
			}
			var got []Record
			if err := j.Replay(func(r Record) error { got = append(got, r); return nil }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" || j.Records() != uint64(len(want)) || j.Cut() != 0 {
				t.Fatalf("%d records, %d cut (-want +got):\n%s", j.Records(), j.Cut(), diff)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAJournalInAFolderIsPrivateAndComesBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data", "journal")
	for i := range 3 {
		j, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(note(i)); err != nil {
			t.Fatal(err)
		}
		if got := replayed(t, j); len(got) != i+1 {
			t.Errorf("run %d: %d records", i, len(got))
		}
		if err := errors.Join(j.Close(), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{"": 0o700, logName: 0o600, headName: 0o600} {
		st, err := os.Stat(filepath.Join(folder, name))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, st.Mode(), err)
		}
	}
}

func TestAppendIsDurableOnReturn(t *testing.T) {
	m := NewMemory()
	j := mustOpen(t, m)
	before := m.syncs[logName]
	if err := j.Append(note(1)); err != nil {
		t.Fatal(err)
	}
	if m.syncs[logName] != before+1 || !slices.Equal(m.files[logName].data, m.files[logName].durable) ||
		!slices.Equal(m.files[headName].data, m.files[headName].durable) {
		t.Error("something was left unsynced")
	}
}

func TestConcurrentAppendsShareTheirSyncsAndAllArrive(t *testing.T) {
	const writers, each = 16, 40
	m := NewMemory()
	j := mustOpen(t, m)
	before := m.syncs[logName]

	// The first batch is held in its sync until everybody else has joined the next.
	var once sync.Once
	hold, held := make(chan struct{}), make(chan struct{})
	m.Fail = func(op, name string) error {
		if op == "sync" && name == logName {
			once.Do(func() { close(held); <-hold })
		}
		return nil
	}
	var first, rest sync.WaitGroup
	first.Go(func() {
		if err := j.Append(Record{Key: "first"}); err != nil {
			t.Error(err)
		}
		once.Do(func() { close(held) }) // so that a journal that does not sync fails instead of hanging
	})
	<-held
	var started sync.WaitGroup
	for w := range writers {
		started.Add(1)
		rest.Go(func() {
			for i := range each {
				if i == 0 {
					started.Done()
				}
				if err := j.Append(Record{Key: fmt.Sprint(w), Kind: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	started.Wait()
	close(hold)
	first.Wait()
	rest.Wait()

	next := map[string]int{}
	for _, r := range replayed(t, j)[1:] {
		if r.Kind != fmt.Sprint(next[r.Key]) {
			t.Fatalf("writer %s: record %s came at place %d", r.Key, r.Kind, next[r.Key])
		}
		next[r.Key]++
	}
	if len(next) != writers || j.Records() != writers*each+1 {
		t.Errorf("%d writers, %d records", len(next), j.Records())
	}
	t.Logf("%d appends took %d syncs", writers*each, m.syncs[logName]-before)
}

// Two appends that wait for a third share one sync, whoever of them does the work.
func TestABatchIsOneSync(t *testing.T) {
	m := NewMemory()
	j := mustOpen(t, m)
	b := j.join([]byte("x"))
	for i := range 9 {
		body, err := encode(note(i))
		if err != nil {
			t.Fatal(err)
		}
		if j.join(body) != b {
			t.Fatal("waiting records are in two batches")
		}
	}
	b.bodies = b.bodies[1:]
	before := m.syncs[logName]
	if err := j.Append(note(9)); err != nil {
		t.Fatal(err)
	}
	if !b.done || m.syncs[logName] != before+1 || len(replayed(t, j)) != 10 {
		t.Errorf("%d syncs, %d records", m.syncs[logName]-before, j.Records())
	}
}

func TestReplayStopsAtTheFirstErrorOfItsCaller(t *testing.T) {
	j := mustOpen(t, filled(t, 5))
	enough, n := errors.New("enough"), 0
	err := j.Replay(func(Record) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if err != enough || n != 3 { //nolint:errorlint // as it is, not wrapped
		t.Errorf("%d records, %v", n, err)
	}
}

func TestAppendDuringReplayIsNotReplayed(t *testing.T) {
	j := mustOpen(t, filled(t, 5))
	n := 0
	if err := j.Replay(func(r Record) error { n++; return j.Append(r) }); err != nil {
		t.Fatal(err)
	}
	if n != 5 || j.Records() != 10 {
		t.Errorf("%d replayed, %d there", n, j.Records())
	}
}

func TestAClosedJournalTakesNothing(t *testing.T) {
	j := mustOpen(t, NewMemory())
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(note(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.Replay(func(Record) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("replay: %v", err)
	}
}

func TestARecordThatIsTooLargeHarmsNothing(t *testing.T) {
	j := mustOpen(t, NewMemory())
	if err := j.Append(Record{Event: make([]byte, MaxRecord)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if err := j.Append(note(1)); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskIsAnErrorUntilThereIsRoomAgain(t *testing.T) {
	m := NewMemory()
	j := mustOpen(t, m)
	for i := range 60 {
		full := i%3 == 1
		m.Fail = func(op, name string) error {
			if full && op == "write" && name == logName {
				return &os.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
			}
			return nil
		}
		if err := j.Append(note(i)); full != errors.Is(err, ErrFull) || full != (err != nil) {
			t.Fatalf("append %d: %v", i, err)
		}
	}
	if err := j.Err(); err != nil {
		t.Errorf("the journal failed: %v", err)
	}
	again := mustOpen(t, m.clone())
	if len(replayed(t, j)) != 40 || len(replayed(t, again)) != 40 || again.Cut() != 0 {
		t.Errorf("%d and %d records, %d cut", j.Records(), again.Records(), again.Cut())
	}
}

// A sync that failed once may have dropped what it should have written, and
// says nothing the next time: so nothing may be believed after it.
func TestAfterAFailedWriteOrSyncNothingIsTaken(t *testing.T) {
	broken := errors.New("input/output error")
	for _, at := range []struct{ op, name string }{
		{"write", logName}, {"sync", logName}, {"write", headName}, {"sync", headName},
	} {
		t.Run(at.op+" "+at.name, func(t *testing.T) {
			m := NewMemory()
			j := mustOpen(t, m)
			if err := j.Append(note(0)); err != nil {
				t.Fatal(err)
			}
			m.Fail = func(op, name string) error {
				if op == at.op && name == at.name {
					return broken
				}
				return nil
			}
			if err := j.Append(note(1)); !errors.Is(err, ErrFailed) || !errors.Is(err, broken) || !strings.Contains(err.Error(), at.name) {
				t.Errorf("got %v, want ErrFailed", err)
			}
			m.Fail = nil
			if err := j.Append(note(2)); !errors.Is(err, ErrFailed) {
				t.Errorf("a later append gave %v, want ErrFailed", err)
			}
			if !errors.Is(j.Err(), ErrFailed) || len(replayed(t, j)) != 1 {
				t.Errorf("%v, %d records", j.Err(), j.Records())
			}
			again := mustOpen(t, m.clone())
			if got := replayed(t, again); len(got) < 1 || len(got) > 2 {
				t.Errorf("%d records after opening again", len(got))
			}
		})
	}
}

func TestAFullDiskThatCannotBeUndoneIsAFailure(t *testing.T) {
	m := NewMemory()
	j := mustOpen(t, m)
	m.Fail = func(op, name string) error {
		if name == logName && (op == "write" || op == "truncate") {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := j.Append(note(0)); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v, want ErrFailed", err)
	}
	m.Fail = nil
	again := mustOpen(t, m.clone())
	if again.Records() != 0 || again.Cut() == 0 {
		t.Errorf("%d records, %d cut", again.Records(), again.Cut())
	}
}

func TestOpenSaysWhatItCouldNotDo(t *testing.T) {
	if _, err := Open("/dev/null/journal"); err == nil {
		t.Error("a folder in a file was opened")
	}
	for _, op := range []string{"sync folder", "write", "sync", "truncate"} {
		m := NewMemory()
		m.Fail = func(o, _ string) error {
			if o == op {
				return syscall.EROFS
			}
			return nil
		}
		if _, err := OpenFS(m); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", op, err)
		}
		m.Fail = nil
		if j := mustOpen(t, m); j.Records() != 0 {
			t.Errorf("after a failed %s: %d records", op, j.Records())
		}
	}
}
