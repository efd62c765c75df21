package main

import (
	"errors"
	"strings"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"go.yaml.in/yaml/v3"
)

// egress is what a job may reach of the internet: the one word "public", or hosts.
type egress []string

const (
	egressPublic = "public"
	egressNone   = "none"
)

// Set reads a flag.
func (e *egress) Set(text string) error {
	*e = nil
	for _, host := range strings.Split(text, ",") {
		host = strings.ToLower(strings.TrimSpace(host))
		if host == "" {
			return errors.New("want public, none, or hosts such as pypi.org,*.pythonhosted.org")
		}
		*e = append(*e, host)
	}
	if len(*e) == 1 && (*e)[0] == egressNone {
		*e = nil
	}
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler: one word, hosts with commas, or a list.
func (e *egress) UnmarshalYAML(n *yaml.Node) error {
	text := n.Value
	if n.Kind != yaml.ScalarNode {
		var hosts []string
		if err := n.Decode(&hosts); err != nil {
			return err
		}
		text = strings.Join(hosts, ",")
	}
	if err := e.Set(text); err != nil {
		return lineError(n, "egress: %v", err)
	}
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (e egress) MarshalYAML() (any, error) {
	if e.public() {
		return egressPublic, nil
	}
	return []string(e), nil
}

func (e egress) public() bool { return len(e) == 1 && e[0] == egressPublic }

// message is nil for no network.
func (e egress) message() *marketv1.Egress {
	switch {
	case len(e) == 0:
		return nil
	case e.public():
		return &marketv1.Egress{Public: true}
	}
	return &marketv1.Egress{Hosts: e}
}
