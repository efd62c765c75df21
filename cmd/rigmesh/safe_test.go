package main

import (
	"strings"
	"testing"
)

func TestTerminalGetsTextAndColoursAndNothingElse(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"text", "naïve 🙂\tok\r\n", "naïve 🙂\tok\r\n"},
		{"colours", "\x1b[1;31mred\x1b[0m \x1b[38:5:9mmore\x1b[m", "\x1b[1;31mred\x1b[0m \x1b[38:5:9mmore\x1b[m"},
		{"clear screen", "a\x1b[2Jb", "ab"},
		{"cursor", "a\x1b[10;10Hb\x1b[?25lc", "abc"},
		{"title", "a\x1b]0;gotcha\x07b", "ab"},
		{"title with ST", "a\x1b]0;gotcha\x1b\\b", "ab"},
		{"device control", "a\x1bP+q544e\x1b\\b", "ab"},
		{"reset", "a\x1bcb", "ab"},
		{"8-bit control", "a\u009b2Jb", "a2Jb"},
		{"controls", "a\x00\x07\x08\x0e\x7fb", "ab"},
		{"bad UTF-8", "a\xff\xfeb", "ab"},
		{"reordering", "a\u202eb\u2066c", "abc"},
		{"private colours", "a\x1b[>4;2mb", "ab"},
		{"broken off", "a\x1b[12\x1b[31mb", "a\x1b[31mb"},
		{"endless sequence", "a\x1b[" + strings.Repeat("1", 100) + "mb", "a" + strings.Repeat("1", 38) + "mb"},
	} {
		for _, step := range []int{1, 2, 3, len(test.in)} { // wherever the pieces are cut
			var out strings.Builder
			w := &safeWriter{w: &out}
			for at := 0; at < len(test.in); at += step {
				if _, err := w.Write([]byte(test.in[at:min(at+step, len(test.in))])); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != test.want {
				t.Errorf("%s in steps of %d: %q, want %q", test.name, step, out.String(), test.want)
			}
		}
	}
}

func FuzzTerminalIsSafeFromAnything(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m\x1b]0;x\x07"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out strings.Builder
		w := &safeWriter{w: &out}
		if n, err := w.Write(in); n != len(in) || err != nil {
			t.Fatal(n, err)
		}
		rest := out.String()
		for {
			before, after, found := strings.Cut(rest, "\x1b")
			if strings.ContainsAny(before, "\x00\x07\x08\x7f\u009b") {
				t.Fatalf("%q lets %q through", in, before)
			}
			if !found {
				return
			}
			end := strings.IndexFunc(after, func(r rune) bool { return !strings.ContainsRune("[0123456789;:", r) })
			if end < 1 || after[0] != '[' || after[end] != 'm' {
				t.Fatalf("%q lets %q through", in, after)
			}
			rest = after[end:]
		}
	})
}
