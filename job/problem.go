package job

import (
	"errors"
	"fmt"
	"time"
)

// ErrInvalid is what every problem that a Check function finds is.
var ErrInvalid = errors.New("invalid message")

// Problem is one thing that is wrong with a message. A Check function joins
// all it finds with errors.Join.
type Problem struct {
	Field string // as in the .proto: "inputs[0].path"
	Want  string // what is wrong and what is allowed
}

// Error is one sentence: the field, and what is allowed in it.
func (p Problem) Error() string { return p.Field + ": " + p.Want }

// Is makes every problem an ErrInvalid.
func (p Problem) Is(target error) bool { return target == ErrInvalid }

// problems collects what is wrong with one message.
type problems struct {
	prefix string
	found  *[]error
}

func newProblems() problems { return problems{found: new([]error)} }

// in is for the fields of one field.
func (p problems) in(format string, args ...any) problems {
	return problems{prefix: p.prefix + fmt.Sprintf(format, args...) + ".", found: p.found}
}

func (p problems) add(field, format string, args ...any) {
	*p.found = append(*p.found, Problem{Field: p.prefix + field, Want: fmt.Sprintf(format, args...)})
}

// want adds a problem unless ok.
func (p problems) want(ok bool, field, format string, args ...any) {
	if !ok {
		p.add(field, format, args...)
	}
}

func (p problems) err() error { return errors.Join(*p.found...) }

// The checks that several messages share.

func (p problems) version(v uint32) {
	p.want(v == Version, "version", "want %d, not %d", Version, v)
}

func (p problems) size(field string, b []byte, want int) {
	p.want(len(b) == want, field, "want %d bytes, not %d", want, len(b))
}

func (p problems) most(field string, n, limit uint64) {
	p.want(n <= limit, field, "want at most %d, not %d", limit, n)
}

func (p problems) span(field string, ms int64, least, most time.Duration) {
	if ms < least.Milliseconds() || ms > most.Milliseconds() {
		p.add(field, "want %s to %s, not %d ms", least, most, ms)
	}
}

// life checks that a statement was issued, and expires within most after that.
func (p problems) life(issuedMS, expiresMS int64, most time.Duration) {
	if issuedMS <= 0 {
		p.add("issued_ms", "want a Unix time in ms, not %d", issuedMS)
		return
	}
	left := expiresMS - issuedMS
	p.want(expiresMS > issuedMS && left <= most.Milliseconds(), "expires_ms",
		"want at most %s after issued_ms, and after it", most)
}

func (p problems) peerRecord(b []byte) {
	p.want(len(b) <= MaxPeerRecord, "peer_record", "want at most %d bytes, not %d", MaxPeerRecord, len(b))
}
