package p2p

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestOriginsAreBlocksOfPublicAddresses(t *testing.T) {
	const relay = "12D3KooWAjgDDgRGeSynpxwLDAVD2WzR3mDXRdp4UxJWL7GeKSnF"
	for addr, want := range map[string]string{
		"/ip4/8.8.4.4/udp/4001/quic-v1":                       "8.8.4.0/24",
		"/ip4/8.8.4.77/tcp/4001":                              "8.8.4.0/24",
		"/ip6/2a01:4f8:1:22ff::1/tcp/4001":                    "2a01:4f8:1:2200::/56",
		"/ip6/2a01:4f8:1:2200:9::1/tcp/4001":                  "2a01:4f8:1:2200::/56",
		"/ip4/127.0.0.1/tcp/4001":                             "",
		"/ip4/192.168.1.9/tcp/4001":                           "",
		"/ip6/::1/tcp/4001":                                   "",
		"/ip4/8.8.4.4/tcp/4001/p2p/" + relay + "/p2p-circuit": "",
		"/dns4/example.com/tcp/4001":                          "",
	} {
		a, err := ma.NewMultiaddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := blockOf(a)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %s, %t; want %q", addr, got, ok, want)
		}
	}
}
