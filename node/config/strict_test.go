package config

import (
	"strings"
	"testing"
)

func TestNearestWordAllowsATypingErrorAndNoGuess(t *testing.T) {
	known := []string{"image", "inputs", "outputs", "price", "name"}
	for word, want := range map[string]string{
		"imgae": "image", "input": "inputs", "Image": "image", "pric": "price", "naem": "name",
		"zebra": "", "x": "", "": "", strings.Repeat("a", 10_000): "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
}

func FuzzFileNeverPanics(f *testing.F) {
	for _, text := range []string{
		"network: lab\nprice: {floor: 0.20}\n", "a: &x [*x]\n", "? {}\n: {}\n", "listen: [1, {}]\n", "- 1\n", "<<: {network: a}\n", "network: !!binary aGk=\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		var into file
		_ = DecodeStrict("config.yaml", text, &into)
	})
}

// FuzzAddr: an address that is taken has a peer exactly where one is wanted.
func FuzzAddr(f *testing.F) {
	f.Add("/ip4/192.0.2.7/tcp/4001")
	f.Add("/ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3KooWPJMiEvJ35ads69T4zVAVvihYwqvsA3HwPG47xhFPpUXQ")
	f.Add("/dns/example.org/tcp/1/p2p-circuit")
	f.Fuzz(func(t *testing.T, text string) {
		if checkAddr(text, true) == nil && checkAddr(text, false) == nil {
			t.Errorf("%q both names a peer and does not", text)
		}
	})
}
