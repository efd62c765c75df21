//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/rigmesh/rigmesh/testnet/nat"
)

// role is what a node does.
type role string

const (
	hub       role = "hub"       // rents, and relays data for others
	worker    role = "worker"    // lends a simulated GPU
	requester role = "requester" // rents
)

// site is some nodes behind one router.
type site struct {
	name string
	role role
	kind nat.Kind
	many int
}

// sixNodes is what there is when nothing else is asked for.
const sixNodes = "hub relay=hub attic=worker:none garage=worker:port-restricted shed=worker:symmetric laptop=requester:port-restricted"

var nodeName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,20}$`)

// parse reads one site: [NAME=]ROLE[:KIND[:COUNT]].
func parse(text string) (site, error) {
	name, rest, named := strings.Cut(text, "=")
	if !named {
		name, rest = "", text
	}
	parts := strings.Split(rest, ":")
	s := site{name: name, role: role(parts[0]), many: 1}
	if s.name == "" {
		s.name = parts[0]
	}
	if s.role != hub && s.role != worker && s.role != requester {
		return s, fmt.Errorf("%q: want [NAME=]ROLE[:NAT[:COUNT]] with a role of hub, worker or requester", text)
	}
	if !nodeName.MatchString(s.name) {
		return s, fmt.Errorf("%q: a name has a-z, 0-9 and -, and begins with a letter", text)
	}
	var err error
	if len(parts) > 1 {
		if s.kind, err = nat.Parse(parts[1]); err != nil {
			return s, fmt.Errorf("%q: %w", text, err)
		}
	}
	if len(parts) > 2 {
		if s.many, err = strconv.Atoi(parts[2]); err != nil || s.many < 1 || s.many > 50 {
			return s, fmt.Errorf("%q: want 1 to 50 nodes", text)
		}
	}
	if s.role == hub && (s.kind != nat.None || len(parts) > 3) {
		return s, fmt.Errorf("%q: a hub has a public address", text)
	}
	return s, nil
}

// parseAll reads sites, and names everything that is wrong with them.
func parseAll(texts []string) ([]site, error) {
	var sites []site
	var errs []error
	taken := map[string]bool{}
	for _, text := range texts {
		s, err := parse(text)
		if err == nil && taken[s.name] {
			err = fmt.Errorf("%q: there is a %s already", text, s.name)
		}
		taken[s.name] = true
		sites, errs = append(sites, s), append(errs, err)
	}
	if len(sites) > 0 && sites[0].role != hub {
		errs = append(errs, errors.New("the first has to be a hub, which the others begin with"))
	}
	return sites, errors.Join(errs...)
}

// read takes the words of a topology's file; # begins a comment.
func read(r io.Reader) ([]string, error) {
	var words []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words = append(words, strings.Fields(text)...)
	}
	return words, lines.Err()
}
