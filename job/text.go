package job

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the longest text of a peer that is kept, in bytes.
const MaxText = 200

// CleanText makes a peer's text safe to print and to log: invalid UTF-8,
// control characters, and the invisible ones that reorder or hide text are
// dropped, white space becomes a plain space, and what is left is cut to MaxText bytes at a
// rune's end. Cleaning twice changes nothing.
func CleanText(s string) string {
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			continue // an invalid byte, not the replacement character itself
		}
		if unicode.IsSpace(r) {
			r = ' '
		} else if hidden(r) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > MaxText {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hidden says whether a rune shows as nothing or changes how others show:
// control (Cc), format (Cf: the bidirectional marks among them), surrogates,
// private use, and the line and paragraph separators.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Co, unicode.Zl, unicode.Zp)
}
