package config

import (
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"pgregory.net/rapid"
)

func TestSizesReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "1024": 1024, "1k": 1 << 10, "24GiB": 24 << 30, "24gb": 24 << 30, "24 G": 24 << 30, "1.5GiB": 3 << 29, "2TiB": 2 << 40, "7B": 7,
	} {
		var got Bytes
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "GiB", "-1G", "1e3", "0x10", "nan", "inf", "1Gi B", "1PiB", "1.00001k", "9999999TiB", "1_000"} {
		var got Bytes
		if err := got.Set(text); err == nil {
			t.Errorf("%q reads as %d", text, got)
		}
	}
}

func TestDurationsReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "100ms": 100 * time.Millisecond,
	} {
		var got Duration
		if err := got.Set(text); err != nil || time.Duration(got) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-1s", "d", "1dd", "1.5d", "1d-1h", "99999999d"} {
		var got Duration
		if err := got.Set(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
	for want, d := range map[string]time.Duration{"1h30m": 90 * time.Minute, "24h": 24 * time.Hour, "10m": 10 * time.Minute, "1m30s": 90 * time.Second, "0s": 0} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v is written %q", d, got)
		}
	}
}

func TestCoresReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]CPUs{"2": 2000, "0.5": 500, "0.0001": 1} {
		var got CPUs
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "nan", "inf", "many"} {
		var got CPUs
		if err := got.Set(text); err == nil {
			t.Errorf("%q reads as %d", text, got)
		}
	}
}

// What a dry run prints is read again: writing must lose nothing.
func TestWrittenValuesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, p2 := Price(rapid.Uint64Range(0, job.MaxPrice).Draw(t, "price")), Price(0)
		if err := p2.Set(p.String()); err != nil || p2 != p {
			t.Fatal(p, p2, err)
		}
		d, d2 := Duration(rapid.Int64Range(0, 1<<50).Draw(t, "duration")), Duration(0)
		if err := d2.Set(d.String()); err != nil || d2 != d {
			t.Fatal(d, d2, err)
		}
		b := Bytes(rapid.Uint64Range(0, 1<<20).Draw(t, "size") << rapid.SampledFrom([]int{0, 10, 20, 30}).Draw(t, "unit"))
		var b2 Bytes
		if err := b2.Set(b.exact()); err != nil || b2 != b {
			t.Fatal(b, b2, err)
		}
		c, c2 := CPUs(rapid.Uint64Range(1, 1_000_000).Draw(t, "cpus")), CPUs(0)
		if err := c2.Set(c.String()); err != nil || c2 != c {
			t.Fatal(c, c2, err)
		}
	})
}
