package job

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanTextDropsWhatDeceives(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"plain text, 24 GiB":           "plain text, 24 GiB",
		"über 日本 🚀":                    "über 日本 🚀",
		"line\nbreak\ttab\r":           "line break tab ",
		"\x1b[31mred\x1b[0m":           "[31mred[0m",
		"bell\a null\x00 del\x7f":      "bell null del",
		"abc\u202edef\u2066x\u2069":    "abcdefx",
		"zero\u200bwidth\ufeff":        "zerowidth",
		"sep\u2028par\u2029":           "sep par ",
		"bad\xff\xfeutf8":              "badutf8",
		"kept \ufffd":                  "kept \ufffd",
		"\u0085next":                   " next",
		strings.Repeat("a", MaxText+1): strings.Repeat("a", MaxText),
		strings.Repeat("é", 101):       strings.Repeat("é", 100),
		"a" + strings.Repeat("é", 100): "a" + strings.Repeat("é", 99),
	} {
		if got := CleanText(in); got != want {
			t.Errorf("CleanText(%q) = %q: want %q", in, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\a\u202e")
	f.Add(strings.Repeat("\xf0\x9f\x9a\x80", 60))
	f.Fuzz(func(t *testing.T, s string) {
		got := CleanText(s)
		if len(got) > MaxText || !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) {
			t.Errorf("CleanText(%q) = %q", s, got)
		}
		if again := CleanText(got); again != got {
			t.Errorf("cleaning %q twice gives %q", got, again)
		}
	})
}
