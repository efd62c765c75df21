package publicnet

import (
	"net/netip"
	"testing"
)

func TestOnlyThePublicInternetIsPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "11.0.0.1": true, "172.32.0.1": true, "100.128.0.1": true, "223.255.255.255": true,
		"2606:4700::1111": true, "2a00:1450::1": true, "::ffff:1.1.1.1": true,
		"10.1.2.3": false, "172.31.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "169.254.169.254": false,
		"100.100.100.200": false, "192.0.0.192": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false,
		"::1": false, "::": false, "::ffff:10.1.2.3": false, "64:ff9b::a01:203": false, "fd00::1": false, "fe80::1": false,
		"ff02::1": false, "2002:a01:203::1": false, "2001:0:1::1": false, "2001:db8::1": false, "fec0::1": false,
		"5000::1": false, "9000::1": false, "d000::1": false,
	} {
		if got := Has(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if Has(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestDeniedPrefixesDoNotOverlap(t *testing.T) {
	for i, p := range denied {
		for _, q := range denied[i+1:] {
			if p.Overlaps(q) {
				t.Errorf("%s and %s", p, q)
			}
		}
	}
}
