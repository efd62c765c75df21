package main

import (
	"bytes"
	"io"
	"unicode"
	"unicode/utf8"
)

// safeWriter lets through what its rules allow. What is no text at all is dropped.
type safeWriter struct {
	w       io.Writer
	rules   rules  // nil: colours
	pending []byte // the unfinished sequence or rune at the end of the last Write
}

// rules say what a stranger's program may have its reader's terminal do.
type rules interface {
	// character is one rune that belongs to no sequence.
	character(r rune) bool
	// escape is ESC and what follows, of no other kind.
	escape(sequence []byte) bool
	// control is ESC [ and what follows.
	control(sequence []byte) bool
	// command is a whole string for the terminal: ESC ] and its like.
	command(sequence []byte) bool
}

// colours are the rules for output alone, which cannot harm a terminal: printable text,
// CR, LF, TAB and the sequences that set colours (SGR). Everything else is dropped: titles,
// cursor movement, queries that make the terminal type.
type colours struct{}

func (colours) character(r rune) bool {
	return r == '\r' || r == '\n' || r == '\t' || (unicode.IsPrint(r) && !bidi(r))
}

func (colours) escape([]byte) bool { return false }

// control allows ESC [ digits ; : m alone.
func (colours) control(sequence []byte) bool {
	body := sequence[2 : len(sequence)-1]
	return sequence[len(sequence)-1] == 'm' && len(bytes.Trim(body, "0123456789;:")) == 0
}

func (colours) command([]byte) bool { return false }

// maxSequence is the longest colour sequence that is waited for, in bytes.
const maxSequence = 64

func (s *safeWriter) Write(p []byte) (int, error) {
	allowed := s.rules
	if allowed == nil {
		allowed = colours{}
	}
	text := append(s.pending, p...)
	safe := make([]byte, 0, len(text))
	for len(text) > 0 {
		n, keep := next(text, allowed)
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
func next(text []byte, allowed rules) (n int, keep bool) {
	if text[0] == 0x1b {
		return escape(text, allowed)
	}
	if !utf8.FullRune(text) {
		return 0, false
	}
	r, n := utf8.DecodeRune(text)
	if r == utf8.RuneError && n == 1 {
		return 1, false
	}
	return n, allowed.character(r)
}

// escape looks at a sequence that begins with ESC. Of one that may not pass the whole
// goes where its end is known, so that no rest of it shows.
func escape(text []byte, allowed rules) (n int, keep bool) {
	if len(text) == 1 {
		return 0, false
	}
	switch text[1] {
	case '[':
		return whole(text, 0x3f, allowed.control)
	case ']', 'P', 'X', '^', '_':
		return commandString(text, allowed)
	}
	return whole(text, 0x2f, allowed.escape)
}

// whole finds the end of a sequence: bytes from a space up to last belong to it, and one more.
func whole(text []byte, last byte, allowed func([]byte) bool) (n int, keep bool) {
	from := 1
	if text[1] == '[' {
		from = 2
	}
	for i := from; i < len(text) && i < maxSequence; i++ {
		switch b := text[i]; {
		case b >= 0x20 && b <= last:
		case b > last && b <= 0x7e:
			return i + 1, allowed(text[:i+1])
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
func commandString(text []byte, allowed rules) (n int, keep bool) {
	const longest = 4096
	for i := 2; i < len(text) && i < longest; i++ {
		if text[i] == 0x07 {
			return i + 1, allowed.command(text[:i+1])
		}
		if text[i] == 0x1b && i+1 < len(text) {
			if text[i+1] == '\\' {
				return i + 2, allowed.command(text[:i+2])
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
