package journal

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var anyRecord = rapid.Custom(func(t *rapid.T) Record {
	r := Record{
		Key:   rapid.StringN(0, 64, -1).Draw(t, "key"),
		Kind:  rapid.StringN(0, 20, -1).Draw(t, "kind"),
		At:    time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC(),
		Event: nonEmpty(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "event")),
	}
	for range rapid.IntRange(0, 4).Draw(t, "statements") {
		r.Statements = append(r.Statements, nonEmpty(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "statement")))
	}
	return r
})

// nonEmpty makes what a decoder gives for an empty field.
func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func TestRecordsSurviveWritingAndReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRecord.Draw(t, "record")
		body, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTimesOfAnyYearAndZoneAreKept(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Now(), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2026, 3, 1, 12, 0, 0, 1, time.FixedZone("UTC-7", -7*3600)),
	} {
		body, err := encode(Record{At: at})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(body); err != nil || !got.At.Equal(at) || got.At.IsZero() != at.IsZero() {
			t.Errorf("%v became %v, %v", at, got.At, err)
		}
	}
}

func TestNoPrefixOfARecordIsARecord(t *testing.T) {
	body, err := encode(Record{Key: "key", Kind: "kind", At: time.Now(), Event: []byte("event"), Statements: [][]byte{{1}, {2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range body {
		if r, err := decode(body[:n]); err == nil {
			t.Errorf("%d of %d bytes gave %+v", n, len(body), r)
		}
	}
	if _, err := decode(append(body, 0)); err == nil {
		t.Error("a byte too many was taken")
	}
}

func TestLargeRecordsAreRefused(t *testing.T) {
	for _, r := range []Record{
		{Event: make([]byte, MaxRecord)},
		{Statements: [][]byte{make([]byte, MaxRecord/2), make([]byte, MaxRecord/2)}},
		{Statements: make([][]byte, MaxRecord)},
	} {
		if _, err := encode(r); !errors.Is(err, ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
	}
	body, err := encode(Record{Event: make([]byte, MaxRecord-100)})
	if err != nil || len(body) > MaxRecord {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range []Record{{}, {Key: "lease", Kind: "beat", At: time.Unix(1, 2), Event: []byte("e"), Statements: [][]byte{{1}, nil}}} {
		body, err := encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > MaxRecord/2 {
			return
		}
		r, err := decode(bytes.Clone(body))
		if err != nil {
			return
		}
		again, err := encode(r)
		if err != nil {
			t.Fatalf("%+v cannot be written again: %v", r, err)
		}
		if got, err := decode(again); err != nil || !cmp.Equal(r, got) {
			t.Errorf("%+v became %+v, %v", r, got, err)
		}
	})
}
