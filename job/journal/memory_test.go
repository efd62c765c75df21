package journal

import (
	"bytes"
	"testing"
	"time"
)

// note is a small record that carries a number.
func note(i int) Record {
	return Record{Key: "lease", Kind: "beat", At: time.Unix(int64(i), 0).UTC(), Event: bytes.Repeat([]byte{byte(i)}, i%90)}
}

func mustOpen(t testing.TB, files FS) *Journal {
	t.Helper()
	j, err := OpenFS(files)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// filled is a folder with a journal of n notes, closed.
func filled(t testing.TB, n int) *Memory {
	t.Helper()
	m := NewMemory()
	j := mustOpen(t, m)
	for i := range n {
		if err := j.Append(note(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// clone is a copy of a folder, to be damaged.
func (m *Memory) clone() *Memory {
	c := NewMemory()
	for name, f := range m.files {
		c.files[name] = &memoryFile{in: c, name: name, data: bytes.Clone(f.data), durable: bytes.Clone(f.data)}
	}
	return c
}

func replayed(t testing.TB, j *Journal) []Record {
	t.Helper()
	var out []Record
	if err := j.Replay(func(r Record) error { out = append(out, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}
