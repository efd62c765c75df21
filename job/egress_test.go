package job

import (
	"strings"
	"testing"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestHostsOfAWayOutAreNamesAndNoAddresses(t *testing.T) {
	for host, good := range map[string]bool{
		"example.org": true, "*.example.org": true, "a.b-c.example": true, "_dmarc.example.org": true, "xn--bcher-kva.example": true,
		"": false, "example": false, "*": false, "*.org": false, "Example.org": false, "example.org.": false, "a..b": false,
		"10.0.0.1": false, "example.1": false, "2001:db8::1": false, "*.*.org": false, "-a.org": false, "a b.org": false,
		strings.Repeat("a", 64) + ".org": false, strings.Repeat("a.", 127) + "org": false,
	} {
		p := newProblems()
		p.egress(&marketv1.Egress{Hosts: []string{host}})
		if err := p.err(); (err == nil) != good {
			t.Errorf("%q: %v", host, err)
		}
	}
	for _, bad := range []*marketv1.Egress{
		{Public: true, Hosts: []string{"example.org"}},
		{Hosts: strings.Split(strings.Repeat("a.org ", MaxHosts)+"a.org", " ")},
	} {
		p := newProblems()
		if p.egress(bad); p.err() == nil {
			t.Errorf("%v is allowed", bad)
		}
	}
	p := newProblems()
	if p.egress(nil); p.err() != nil {
		t.Error(p.err())
	}
}

func TestAccessGrowsFromNoneToPublic(t *testing.T) {
	if AccessOf(nil) != AccessNone || AccessOf(&marketv1.Egress{}) != AccessNone ||
		AccessOf(&marketv1.Egress{Hosts: []string{"a.org"}}) != AccessHosts || AccessOf(&marketv1.Egress{Public: true}) != AccessPublic {
		t.Error("access of messages")
	}
	for want := AccessNone; want <= AccessPublic; want++ {
		var got Access
		if err := got.Set(want.String()); err != nil || got != want {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}
	var a Access
	if err := a.Set("all"); err == nil || !strings.Contains(err.Error(), "none, hosts, public") {
		t.Errorf("all: %v", err)
	}
}
