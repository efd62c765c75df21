package requester

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pieces reads an output as the pieces that came together, each with the second at which it came.
func pieces(t *testing.T, r *logReader) string {
	t.Helper()
	var all []string
	for {
		buf := make([]byte, 1000)
		n, came, err := r.ReadTimed(buf)
		if n > 0 {
			all = append(all, fmt.Sprintf("%d:%s", came.Unix(), buf[:n]))
		}
		if err == io.EOF {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOutputIsKeptWithTheTimesAtWhichItCame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	at := int64(100)
	now := func() time.Time { return time.Unix(at, 0) }
	l := openLog(path, now)
	write := func(l *logFile, text string) {
		t.Helper()
		if err := l.write(l.size(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	reader := func(l *logFile) *logReader { return &logReader{ctx: t.Context(), log: l} }
	write(l, "one")
	write(l, "two") // at once
	at = 200
	write(l, "three")
	r := reader(l)
	if got, want := pieces(t, r), "100:onetwo 200:three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	at = 300
	write(l, "four")
	if got, want := pieces(t, r), "300:four"; got != want {
		t.Errorf("what came meanwhile: got %q, want %q", got, want)
	}
	for since, want := range map[int64]string{50: "100:onetwo 200:three 300:four", 100: "100:onetwo 200:three 300:four", 150: "200:three 300:four", 300: "300:four", 301: ""} {
		r := reader(l)
		if _, err := r.Skip(time.Unix(since, 0)); err != nil {
			t.Fatal(err)
		}
		if got := pieces(t, r); got != want {
			t.Errorf("since %d: got %q, want %q", since, got, want)
		}
	}
	// A machine that went down had written a mark, and not what came then.
	f, err := os.OpenFile(path+".times", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	lost := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(l.size())), 350_000)
	if _, err := f.Write(append(lost, "torn"...)); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	at = 400
	l = openLog(path, now)
	write(l, "five")
	if got, want := pieces(t, reader(l)), "100:onetwo 200:three 300:four 400:five"; got != want {
		t.Errorf("after a restart: got %q, want %q", got, want)
	}
}

func TestOutputWithoutTimesIsThereAllTheSame(t *testing.T) {
	l := openLog(filepath.Join(t.TempDir(), "stdout"), nil)
	if err := l.write(0, []byte("old")); err != nil {
		t.Fatal(err)
	}
	r := &logReader{ctx: t.Context(), log: l}
	if offset, err := r.Skip(time.Now()); offset != 0 || err != nil {
		t.Errorf("skipped to %d, %v", offset, err)
	}
	n, came, err := r.ReadTimed(make([]byte, 10))
	if n != 3 || !came.IsZero() || err != nil {
		t.Errorf("%d bytes at %v, %v", n, came, err)
	}
}
