package job

import (
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The shapes of short words in messages. Lengths are checked apart.
var (
	networkShape  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	modelShape    = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*$`)
	profileShape  = regexp.MustCompile(`^([0-9]c\.)?[0-9]g\.[0-9]+gb(\+[a-z0-9.]+)?$`)
	platformShape = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`)
	userShape     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)
	digestShape   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	envNameShape  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

// ValidDigest says whether s is "sha256:" and 64 lower-case hexadecimal digits.
func ValidDigest(s string) bool { return digestShape.MatchString(s) }

func (p problems) network(s string) {
	p.want(len(s) <= MaxNetwork && networkShape.MatchString(s), "network",
		"want lower-case letters, digits and single dashes, at most %d bytes", MaxNetwork)
}

func (p problems) model(field, s string) {
	p.want(len(s) <= MaxModelBytes && modelShape.MatchString(s), field,
		"want a model such as rtx-4090, at most %d bytes, not %.64q", MaxModelBytes, s)
}

func (p problems) platform(s string) {
	p.want(len(s) <= MaxPlatform && platformShape.MatchString(s), "platform",
		"want a platform such as linux/amd64, at most %d bytes", MaxPlatform)
}

func (p problems) digest(field, s string) {
	p.want(ValidDigest(s), field, `want "sha256:" and 64 lower-case hexadecimal digits`)
}

// text checks words that are only shown to people.
func (p problems) text(field, s string) {
	p.want(len(s) <= MaxNameBytes && CleanText(s) == s, field,
		"want at most %d bytes of printable text", MaxNameBytes)
}

// reserved are the folders of a task that belong to its kernel, and to its init.
var reserved = []string{"/proc", "/sys", "/dev", "/.rigmesh"}

// folder checks an absolute path in a task that something is put at or taken from.
func (p problems) folder(field, s string) bool {
	before := len(*p.found)
	p.absolute(field, s)
	p.want(s != "/", field, "want a folder below /")
	for _, r := range reserved {
		p.want(!within(s, r), field, "want a path outside %s", r)
	}
	return len(*p.found) == before
}

func (p problems) absolute(field, s string) {
	p.want(len(s) <= MaxPath, field, "want at most %d bytes, not %d", MaxPath, len(s))
	p.want(printable(s), field, "want UTF-8 without control characters")
	p.want(path.IsAbs(s) && path.Clean(s) == s, field, `want an absolute path without ".", ".." or double slashes`)
}

// printable allows whatever a file may be called, but for what would break a terminal or a C string.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, hidden)
}

// within says whether path a is b or lies below it. Both are absolute and clean.
func within(a, b string) bool { return a == b || strings.HasPrefix(a, b+"/") }

func overlap(a, b string) bool { return within(a, b) || within(b, a) }
