package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// screen are the rules for a program that was given the terminal: what a terminal is for
// may pass, and what it left behind is undone at the end. What reaches beyond the terminal
// may not: the clipboard, files, a printer, other windows, what stands on the screen, and
// titles read back, which would be typed.
type screen struct {
	left map[string]string // what is not as it was, and the sequence that undoes it
	mute bool              // nothing may be asked that the terminal would answer
}

func newScreen() *screen { return &screen{left: make(map[string]string)} }

// undo is what makes the terminal as it was.
func (s *screen) undo() string {
	var all strings.Builder
	for _, what := range slices.Sorted(maps.Keys(s.left)) {
		all.WriteString(s.left[what])
	}
	return all.String()
}

// note remembers, or forgets, that something is to be undone.
func (s *screen) note(changed bool, what, undo string) {
	if changed {
		s.left[what] = undo
	} else {
		delete(s.left, what)
	}
}

const (
	enquiry  = 0x05 // the terminal would type an answer of its owner's
	shiftOut = 0x0e
	shiftIn  = 0x0f
)

func (s *screen) character(r rune) bool {
	switch r {
	case shiftOut, shiftIn:
		s.note(r == shiftOut, "shift", string(rune(shiftIn)))
	case enquiry:
		return false
	}
	return r < 0x80 || r > 0x9f // some take those for sequences too
}

func (s *screen) escape(sequence []byte) bool {
	switch kind := sequence[1]; kind {
	case '=', '>':
		s.note(kind == '=', "keypad", "\x1b>")
	case '(':
		s.note(string(sequence) != "\x1b(B", "letters", "\x1b(B")
	case 'Z':
		return !s.mute
	case 'c': // all is as it was when the terminal was made
		clear(s.left)
	}
	return true
}

// control allows all but what asks for or moves windows, prints on paper and reads the screen.
func (s *screen) control(sequence []byte) bool {
	body, final := sequence[2:len(sequence)-1], sequence[len(sequence)-1]
	between := bytes.TrimLeft(body, "0123456789;:<=>?") // such as the space of "set cursor style"
	switch string(between) + string(final) {
	case "t", "i":
		return false
	case "n", "c": // where is the cursor, what are you
		return !s.mute
	case "m":
		s.style(body)
	case "r":
		s.note(len(body) > 0, "margins", "\x1b7\x1b[r\x1b8")
	case "h", "l":
		s.modes(body, final == 'h')
	case "u":
		s.keyboard(body)
		if s.mute && bytes.HasPrefix(body, []byte("?")) {
			return false
		}
	case "q":
		if s.mute && bytes.HasPrefix(body, []byte(">")) {
			return false
		}
	}
	return len(between) == 0 || string(between) == " " || string(between) == "!"
}

func (s *screen) style(body []byte) {
	if bytes.HasPrefix(body, []byte(">")) { // how modified keys are sent
		s.note(true, "keys", "\x1b[>4m")
		return
	}
	s.note(len(bytes.Trim(body, "0;")) > 0, "style", "\x1b[0m")
}

// keyboard are the ways to send keys that some terminals have.
func (s *screen) keyboard(body []byte) {
	if len(body) > 0 && strings.ContainsRune(">=", rune(body[0])) {
		s.note(true, "keyboard", "\x1b[<9u\x1b[=0u")
	}
}

// usuallyOn are modes of a terminal that a program turns off.
var usuallyOn = map[string]bool{"?7": true, "?25": true}

// usuallyOff are those that it turns on: keys, the mouse, pasting, another screen, insertion.
var usuallyOff = map[string]bool{
	"?1": true, "?5": true, "?6": true, "?9": true, "?47": true, "?66": true, "?69": true, "?1000": true, "?1001": true, "?1002": true, "?1003": true,
	"?1004": true, "?1005": true, "?1006": true, "?1015": true, "?1016": true, "?1047": true, "?1049": true, "?2004": true, "?2026": true, "4": true, "20": true,
}

func (s *screen) modes(body []byte, on bool) {
	numbers, private := bytes.CutPrefix(body, []byte("?"))
	for number := range strings.SplitSeq(string(numbers), ";") {
		if private {
			number = "?" + number
		}
		switch {
		case usuallyOn[number]:
			s.note(!on, number, "\x1b["+number+"h")
		case usuallyOff[number]:
			s.note(on, number, "\x1b["+number+"l")
		}
	}
}

// command allows titles and links, of printable text.
func (s *screen) command(sequence []byte) bool {
	body, ok := bytes.CutPrefix(sequence, []byte("\x1b]"))
	if !ok {
		return false
	}
	text := strings.TrimRight(string(body), "\x07\x1b\\")
	kind, rest, ok := strings.Cut(text, ";")
	if !ok || !slices.Contains([]string{"0", "1", "2", "8"}, kind) {
		return false
	}
	return !strings.ContainsFunc(rest, func(r rune) bool { return unicode.IsControl(r) || bidi(r) })
}
