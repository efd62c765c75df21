package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// usualLeave are the keys that docker has for leaving.
const usualLeave = "ctrl-p,ctrl-q"

const leaveUsage = "`KEYS` that leave the terminal and let the program go on, such as ctrl-a,d; \"\" for none"

func leaveFlag() cli.Flag {
	return &cli.StringFlag{Name: "detach-keys", Usage: leaveUsage, Value: usualLeave}
}

// leaver looks for some keys among those that are typed. The nil leaver finds none.
type leaver struct {
	keys []byte
	seen int // how many of them came, and were not passed on
}

// parseLeaver reads keys as docker writes them: letters, and ctrl-x, with commas between.
func parseLeaver(text string) (*leaver, error) {
	if text == "" {
		return nil, nil
	}
	l := &leaver{}
	for word := range strings.SplitSeq(text, ",") {
		key, control := strings.CutPrefix(word, "ctrl-")
		if len(key) != 1 || key[0] < '!' || key[0] > '~' {
			return nil, hint(usagef("detach keys %q: %q is no key", text, word), "want such as %s or ctrl-a,d", usualLeave)
		}
		code := key[0]
		if control {
			if code = strings.ToUpper(key)[0] ^ 0x40; code > 0x1f {
				return nil, usagef("detach keys %q: there is no %s", text, word)
			}
		}
		l.keys = append(l.keys, code)
	}
	return l, nil
}

// pass gives what of the typed bytes is for the program, and says whether the keys to leave
// were among them. A beginning of those is held back until it is known what it is.
func (l *leaver) pass(typed []byte) (kept []byte, left bool) {
	if l == nil {
		return typed, false
	}
	for _, b := range typed {
		if b != l.keys[l.seen] {
			kept = append(kept, l.keys[:l.seen]...)
			l.seen = 0
		}
		if b != l.keys[l.seen] {
			kept = append(kept, b)
			continue
		}
		if l.seen++; l.seen == len(l.keys) {
			l.seen = 0
			return kept, true
		}
	}
	return kept, false
}
