package job

import (
	"fmt"
	"regexp"
	"strings"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Access is how much of a network a task wants, or a machine's owner allows. More
// includes less.
type Access uint8

// The kinds of access.
const (
	AccessNone   Access = iota // no network at all
	AccessHosts                // names on the public internet that the job lists
	AccessPublic               // all of the public internet
)

var accessNames = []string{"none", "hosts", "public"}

// String is "none", "hosts" or "public".
func (a Access) String() string {
	if int(a) < len(accessNames) {
		return accessNames[a]
	}
	return fmt.Sprintf("access %d", a)
}

// Set reads what String writes.
func (a *Access) Set(text string) error {
	for i, name := range accessNames {
		if text == name {
			*a = Access(i)
			return nil
		}
	}
	return fmt.Errorf("want one of %s, not %q", strings.Join(accessNames, ", "), CleanText(text))
}

// AccessOf is what a spec or an announcement asks for.
func AccessOf(e *marketv1.Egress) Access {
	switch {
	case e.GetPublic():
		return AccessPublic
	case len(e.GetHosts()) > 0:
		return AccessHosts
	}
	return AccessNone
}

// hostShape is a name of at least two labels, in lower case, with or without "*." before it.
var hostShape = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// numeric is what an address ends in, and no name.
var numeric = regexp.MustCompile(`\.[0-9]+$`)

func (p problems) egress(e *marketv1.Egress) {
	p = p.in("egress")
	hosts := e.GetHosts()
	p.want(!e.GetPublic() || len(hosts) == 0, "hosts", "want none beside the whole public internet")
	p.want(len(hosts) <= MaxHosts, "hosts", "want at most %d names, not %d", MaxHosts, len(hosts))
	for i, h := range hosts[:min(len(hosts), MaxHosts)] {
		p.want(len(h) <= MaxHostBytes && hostShape.MatchString(h) && !numeric.MatchString(h), fmt.Sprintf("hosts[%d]", i),
			"want a name in lower case such as example.org or *.example.org, and no address")
	}
}
