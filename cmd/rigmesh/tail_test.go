package main

import (
	"strings"
	"testing"
)

func TestTailFindsTheLastLinesHoweverTheTextIsCut(t *testing.T) {
	for _, text := range []string{"", "\n", "one", "one\n", "one\ntwo", "one\ntwo\n", "\n\n\n", "one\n\nthree\nfour\n"} {
		for lines := range 6 {
			all := strings.SplitAfter(text, "\n")
			if all[len(all)-1] == "" {
				all = all[:len(all)-1]
			}
			want := strings.Join(all[max(0, len(all)-lines):], "")
			for size := 1; size <= len(text)+1; size++ {
				var got tail
				for rest := text; rest != ""; {
					n := min(size, len(rest))
					got.add([]byte(rest[:n]), lines)
					rest = rest[n:]
				}
				if text[got.offset():] != want {
					t.Errorf("last %d lines of %q in pieces of %d: %q, want %q", lines, text, size, text[got.offset():], want)
				}
			}
		}
	}
}

func TestLogsBeginWithTheLastLinesOfEachOutput(t *testing.T) {
	f := startFakeNode(t)
	f.stdout, f.stderr = "one\ntwo\nthree\n", "warning\nlast"
	for tail, want := range map[string][2]string{
		"all": {f.stdout, f.stderr},
		"2":   {"two\nthree\n", f.stderr},
		"1":   {"three\n", "last"},
		"0":   {"", ""},
	} {
		stdout, stderr, code := f.rigmesh("logs", "--tail", tail, "3f2a")
		if code != 0 || stdout != want[0] || stderr != want[1] {
			t.Errorf("--tail %s: exit code %d, %q, %q, want %q", tail, code, stdout, stderr, want)
		}
	}
	for _, wrong := range []string{"-1", "some", "99999999"} {
		if _, stderr, code := f.rigmesh("logs", "--tail="+wrong, "3f2a"); code != 2 || !strings.Contains(stderr, wrong) {
			t.Errorf("--tail %s: exit code %d, %s", wrong, code, stderr)
		}
	}
}
