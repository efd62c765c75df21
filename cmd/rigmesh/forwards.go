package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"go.yaml.in/yaml/v3"
)

// forward is a port of a task that is to appear on this machine.
type forward struct {
	at     netip.AddrPort // port 0: any that is free
	remote uint16
}

// loopback is where forwards listen unless another address is named.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

var errForward = errors.New("want [LOCAL:]REMOTE or ADDRESS:LOCAL:REMOTE, such as 8888, 8080:80 or 192.0.2.7:8080:80")

// parseForward reads [[ADDRESS:]LOCAL:]REMOTE.
func parseForward(text string) (forward, error) {
	f := forward{at: netip.AddrPortFrom(loopback, 0)}
	here, remote, both := cutLast(text, ":")
	number, err := strconv.ParseUint(remote, 10, 16)
	if err != nil || number == 0 {
		return f, fmt.Errorf("port %q: %w", text, errForward)
	}
	f.remote = uint16(number)
	if !both {
		f.at = netip.AddrPortFrom(loopback, f.remote)
		return f, nil
	}
	address, local, named := cutLast(here, ":")
	if number, err = strconv.ParseUint(local, 10, 16); err != nil {
		return f, fmt.Errorf("port %q: %w", text, errForward)
	}
	at := loopback
	if named {
		if at, err = netip.ParseAddr(strings.Trim(address, "[]")); err != nil {
			return f, fmt.Errorf("port %q: %w", text, errForward)
		}
	}
	f.at = netip.AddrPortFrom(at, uint16(number))
	return f, nil
}

// cutLast cuts a text around the last sep; without one all of it is after.
func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return "", text, false
}

// String is the shortest way to write it.
func (f forward) String() string {
	switch {
	case f.at.Addr() != loopback:
		return fmt.Sprintf("%s:%d", f.at, f.remote)
	case f.at.Port() != f.remote:
		return fmt.Sprintf("%d:%d", f.at.Port(), f.remote)
	}
	return strconv.Itoa(int(f.remote))
}

// forwards are what run -p, or ports in job.yaml, names.
type forwards []forward

func (f *forwards) add(text string) error {
	one, err := parseForward(text)
	if err == nil {
		*f = append(*f, one)
	}
	return err
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (f *forwards) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return lineError(n, "ports: want a list, such as [8888, \"8080:80\"]")
	}
	for _, item := range n.Content {
		if err := f.add(item.Value); err != nil {
			return lineError(item, "ports: %v", err)
		}
	}
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (f forwards) MarshalYAML() (any, error) {
	var list []string
	for _, one := range f {
		list = append(list, one.String())
	}
	return list, nil
}

// messages are the forwards as the node keeps them with the job.
func (f forwards) messages() []*leasev1.Forward {
	var out []*leasev1.Forward
	for _, one := range f {
		out = append(out, &leasev1.Forward{Address: one.at.Addr().String(), Local: uint32(one.at.Port()), Remote: uint32(one.remote)})
	}
	return out
}

// forwardsOf undoes messages.
func forwardsOf(kept []*leasev1.Forward) (forwards, error) {
	var f forwards
	for _, m := range kept {
		at, err := netip.ParseAddr(m.Address)
		if err != nil || m.Local > 1<<16-1 || m.Remote > 1<<16-1 {
			return nil, fmt.Errorf("the job's port %s:%d:%d cannot be", m.Address, m.Local, m.Remote)
		}
		f = append(f, forward{netip.AddrPortFrom(at, uint16(m.Local)), uint16(m.Remote)})
	}
	return f, nil
}
