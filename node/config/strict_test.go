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
