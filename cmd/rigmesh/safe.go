package main

import (
	"io"
	"unicode"
	"unicode/utf8"
)

// safeWriter lets through what cannot harm a terminal: printable text, CR, LF, TAB and the
// sequences that set colours (SGR). Everything else a stranger's program writes is
// dropped: titles, cursor movement, queries that make the terminal type.
type safeWriter struct {
	w       io.Writer
	pending []byte // the unfinished sequence or rune at the end of the last Write
}

// maxSequence is the longest colour sequence that is waited for, in bytes.
const maxSequence = 64

func (s *safeWriter) Write(p []byte) (int, error) {
	text := append(s.pending, p...)
	safe := make([]byte, 0, len(text))
	for len(text) > 0 {
		n, keep := next(text)
		if n == 0 { // not decided yet
			break
		}
		if keep {
			safe = append(safe, text[:n]...)
		}
		text = text[n:]
	}
	s.pending = append([]byte(nil), text...)
	if _, err := s.w.Write(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}

// next looks at the beginning of text: how many bytes belong together, and whether they
// may pass. 0 means that more has to come first.
func next(text []byte) (n int, keep bool) {
	if text[0] == 0x1b {
		return escape(text)
	}
	if !utf8.FullRune(text) {
		return 0, false
	}
	r, n := utf8.DecodeRune(text)
	if r == utf8.RuneError && n == 1 {
		return 1, false
	}
	return n, r == '\r' || r == '\n' || r == '\t' || (unicode.IsPrint(r) && !bidi(r))
}

// escape looks at a sequence that begins with ESC. Only ESC [ digits ; : m passes; of
// another, the whole sequence goes where its end is known, so that no rest of it shows.
func escape(text []byte) (n int, keep bool) {
	if len(text) == 1 {
		return 0, false
	}
	switch text[1] {
	case '[':
		return controlSequence(text)
	case ']', 'P', 'X', '^', '_':
		return commandString(text)
	}
	return 2, false
}

func controlSequence(text []byte) (n int, keep bool) {
	plain := true
	for i := 2; i < len(text) && i < maxSequence; i++ {
		switch b := text[i]; {
		case b >= '0' && b <= '9', b == ';', b == ':':
		case b >= 0x20 && b <= 0x3f:
			plain = false
		case b >= 0x40 && b <= 0x7e:
			return i + 1, plain && b == 'm'
		default: // broken off by something else
			return i, false
		}
	}
	if len(text) >= maxSequence {
		return maxSequence, false
	}
	return 0, false
}

// commandString skips to the end of a string for the terminal: BEL, or ESC and a backslash.
func commandString(text []byte) (n int, keep bool) {
	const longest = 4096
	for i := 2; i < len(text) && i < longest; i++ {
		if text[i] == 0x07 {
			return i + 1, false
		}
		if text[i] == 0x1b && i+1 < len(text) {
			if text[i+1] == '\\' {
				return i + 2, false
			}
			return i, false // another sequence begins
		}
	}
	if len(text) >= longest {
		return 2, false
	}
	return 0, false
}

// bidi says whether r changes the direction in which others are shown.
func bidi(r rune) bool {
	return unicode.Is(unicode.Bidi_Control, r)
}
