package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refused says whether an error is a refusal that tells a person where and what to do.
func refused(err error) bool {
	return (errors.Is(err, ErrCorrupt) || errors.Is(err, ErrRolledBack)) &&
		strings.Contains(err.Error(), "memory/") && strings.Contains(err.Error(), "restore the whole folder")
}

func TestALogCutBelowWhatWasCommittedIsRefused(t *testing.T) {
	m := filled(t, 60)
	random := rand.New(rand.NewPCG(7, 1))
	size := len(m.files[logName].data)
	for range 1000 {
		c := m.clone()
		cut := random.IntN(size)
		c.files[logName].data = c.files[logName].data[:cut]
		if _, err := OpenFS(c); !errors.Is(err, ErrRolledBack) || !refused(err) {
			t.Fatalf("cut to %d of %d bytes: %v", cut, size, err)
		}
	}
}

// A crash between the log's sync and the head's leaves an older head, and
// one before the log's sync leaves any part of what was being written. What the head has
// seen must be there; of the rest, whole records in order.
func TestATornTailIsCutAtTheLastWholeRecord(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 2))
	for range 1000 {
		committed, written := random.IntN(30), 0
		m := filled(t, committed)
		older := bytes.Clone(m.files[headName].data)
		least := len(m.files[logName].data)
		j := mustOpen(t, m)
		written = committed + 1 + random.IntN(4)
		for i := committed; i < written; i++ {
			if err := j.Append(note(i)); err != nil {
				t.Fatal(err)
			}
		}
		m.files[headName].data = older
		log := m.files[logName]
		log.data = log.data[:least+random.IntN(len(log.data)-least+1)]
		if random.IntN(2) == 0 { // the end of a file that grew may be zeroes, or anything
			log.data = append(log.data, make([]byte, random.IntN(200))...)
		}
		again := mustOpen(t, m)
		got := replayed(t, again)
		if len(got) < committed || len(got) > written {
			t.Fatalf("%d of %d to %d records", len(got), committed, written)
		}
		for i, r := range got {
			if diff := cmp.Diff(note(i).At, r.At); diff != "" {
				t.Fatalf("record %d:\n%s", i, diff)
			}
		}
		if err := again.Append(note(99)); err != nil {
			t.Fatal(err)
		}
		if third := mustOpen(t, m); third.Cut() != 0 || third.Records() != uint64(len(got)+1) {
			t.Fatalf("after the cut: %d records, %d cut", third.Records(), third.Cut())
		}
	}
}

func TestEveryFlippedBitOfTheLogIsFound(t *testing.T) {
	m := filled(t, 12)
	for at := range m.files[logName].data {
		for bit := range 8 {
			m.files[logName].data[at] ^= 1 << bit
			if _, err := OpenFS(m); !refused(err) {
				t.Fatalf("bit %d of byte %d: %v", bit, at, err)
			}
			m.files[logName].data[at] ^= 1 << bit
		}
	}
	if j := mustOpen(t, m); j.Records() != 12 {
		t.Errorf("%d records left", j.Records())
	}
}

func TestAFlippedBitOfTheHeadLosesNoRecord(t *testing.T) {
	m := filled(t, 12)
	for at := range m.files[headName].data {
		c := m.clone()
		c.files[headName].data[at] ^= 0x10
		j, err := OpenFS(c)
		if err != nil {
			if !refused(err) {
				t.Fatalf("byte %d: %v", at, err)
			}
			continue
		}
		if j.Records() != 12 || j.Cut() != 0 {
			t.Fatalf("byte %d: %d records, %d cut", at, j.Records(), j.Cut())
		}
	}
}

func TestRandomDamageIsFoundOrHarmless(t *testing.T) {
	m := filled(t, 40)
	random := rand.New(rand.NewPCG(7, 3))
	for i := range 2000 {
		c := m.clone()
		log := c.files[logName].data
		at := random.IntN(len(log))
		n := 1 + random.IntN(min(600, len(log)-at))
		switch i % 4 {
		case 0: // lost in the middle
			c.files[logName].data = slices.Delete(log, at, at+n)
		case 1: // a page that reads as zeroes
			clear(log[at : at+n])
		case 2: // something else
			for k := range n {
				log[at+k] = byte(random.Uint32())
			}
		case 3: // twice
			c.files[logName].data = slices.Insert(log, at, slices.Clone(log[at:at+n])...)
		}
		j, err := OpenFS(c)
		if err != nil {
			if !refused(err) {
				t.Fatalf("damage %d: %v", i, err)
			}
			continue
		}
		if len(replayed(t, j)) != 40 {
			t.Fatalf("damage %d of %d bytes at %d left %d of 40 records", i%4, n, at, j.Records())
		}
	}
}

func TestRecordsThatAreWholeButInAnotherOrderAreRefused(t *testing.T) {
	m := filled(t, 0)
	log := m.files[logName]
	a, after := start().frame(mustEncode(t, note(1)))
	b, _ := after.frame(mustEncode(t, note(2)))
	good := slices.Concat(log.data, a, b)
	j := mustOpen(t, m)
	for i := 1; i <= 2; i++ {
		if err := j.Append(note(i)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(log.data, good) {
		t.Fatal("the journal does not write what frame makes")
	}
	log.data = slices.Concat([]byte(logHeader), b, a)
	if _, err := OpenFS(m); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "byte 18") {
		t.Errorf("got %v", err)
	}
}

func mustEncode(t *testing.T, r Record) []byte {
	t.Helper()
	body, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Another history of the same length, each record of it whole: as when one
// folder's log is put in another's place.
func TestAnotherHistoryIsRefused(t *testing.T) {
	m, other := filled(t, 5), NewMemory()
	j := mustOpen(t, other)
	for i := range 9 {
		if err := j.Append(note(i + 100)); err != nil {
			t.Fatal(err)
		}
	}
	m.files[logName].data = other.files[logName].data
	if _, err := OpenFS(m); !errors.Is(err, ErrRolledBack) || !refused(err) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
}

func TestALogWithoutItsHeadIsRefused(t *testing.T) {
	m := filled(t, 3)
	delete(m.files, headName)
	if _, err := OpenFS(m); !errors.Is(err, ErrRolledBack) || !refused(err) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
	m = filled(t, 3)
	m.files[headName].data[8]++
	m.files[headName].data[slotPage+8]++
	if _, err := OpenFS(m); !errors.Is(err, ErrCorrupt) || !refused(err) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// A damaged slot was being written when the log behind it was durable already:
// so a broken record there is no torn tail.
func TestADamagedSlotAndABrokenTailAreRefused(t *testing.T) {
	m := filled(t, 6)
	newest := m.files[headName].data
	for slot := range 2 {
		if commit, pos, err := readSlot(m.files[headName], int64(slot)); err != nil || commit == 0 {
			t.Fatal(err)
		} else if pos.records == 6 {
			newest = newest[slot*slotPage:]
		}
	}
	newest[20] ^= 1
	if j := mustOpen(t, m.clone()); j.Records() != 6 {
		t.Errorf("%d records with the whole log", j.Records())
	}
	log := m.files[logName]
	log.data = log.data[:len(log.data)-1]
	if _, err := OpenFS(m); !errors.Is(err, ErrCorrupt) || !refused(err) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

func TestAHeadWithoutItsLogIsRefused(t *testing.T) {
	m := filled(t, 3)
	delete(m.files, logName)
	for range 2 { // and again: the first try must not have healed it
		if _, err := OpenFS(m); !errors.Is(err, ErrRolledBack) || !refused(err) {
			t.Errorf("got %v, want ErrRolledBack", err)
		}
	}
}

func TestSomebodyElsesFileIsNotTouched(t *testing.T) {
	m := NewMemory()
	m.files[logName] = &memoryFile{in: m, name: logName, data: []byte("dear diary, today I wrote a journal")}
	if _, err := OpenFS(m); !refused(err) {
		t.Errorf("got %v", err)
	}
	if string(m.files[logName].data[:10]) != "dear diary" {
		t.Error("it was overwritten")
	}
}

func TestAFileOfALaterVersionIsRefused(t *testing.T) {
	m := filled(t, 3)
	m.files["00000002.log"] = &memoryFile{in: m}
	if _, err := OpenFS(m); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "later version") {
		t.Errorf("got %v", err)
	}
}

func TestBothSlotsAreUsedInTurn(t *testing.T) {
	m := NewMemory()
	j := mustOpen(t, m)
	for i := range uint64(5) {
		if err := j.Append(note(int(i))); err != nil {
			t.Fatal(err)
		}
		var seen []string
		for slot := range int64(2) {
			commit, pos, err := readSlot(m.files[headName], slot)
			if err != nil || (commit > 0 && commit%2 != uint64(slot)) {
				t.Fatalf("slot %d: commit %d, %v", slot, commit, err)
			}
			seen = append(seen, fmt.Sprint(commit, pos.records))
		}
		slices.Sort(seen)
		if want := []string{fmt.Sprint(i+1, i), fmt.Sprint(i+2, i+1)}; !slices.Equal(seen, want) {
			t.Fatalf("slots %v, want %v", seen, want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	m := filled(f, 5)
	f.Add(m.files[logName].data, m.files[headName].data)
	f.Add([]byte{}, []byte{})
	f.Add([]byte(logHeader), make([]byte, 2*slotPage))
	f.Fuzz(func(t *testing.T, log, head []byte) {
		m := NewMemory()
		m.files[logName] = &memoryFile{in: m, name: logName, data: log}
		m.files[headName] = &memoryFile{in: m, name: headName, data: head}
		j, err := OpenFS(m)
		if err != nil {
			return
		}
		if err := j.Append(note(1)); err != nil {
			t.Fatal(err)
		}
		if again := mustOpen(t, m); again.Records() != j.Records() || again.Cut() != 0 {
			t.Errorf("%d records, then %d and %d cut", j.Records(), again.Records(), again.Cut())
		}
	})
}
