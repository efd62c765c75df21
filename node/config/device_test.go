package config

import (
	"testing"

	"github.com/rigmesh/rigmesh/gpu"
)

func TestWhatOnesCardIsGivenCountsOverWhatItsModelWasGivenBefore(t *testing.T) {
	text := []byte(nil)
	for _, s := range [][2]string{
		{"device.rtx-3090.price", "0.3"}, {"device.1.price", "0.5"},
		{"device.rtx-3090.lend", "false"}, {"device.1.lend", "true"},
		{"device.1.temperature", "0"}, {"lend.watts", "250"}, {"device.1.watts", "0"},
	} {
		var err error
		if text, err = Set(text, s[0], []string{s[1]}); err != nil {
			t.Fatal(err)
		}
	}
	var f file
	if err := DecodeStrict("config.yaml", text, &f); err != nil {
		t.Fatal(err)
	}
	c := Default("/data")
	f.over(&c)
	rules, err := c.Rules()
	if err != nil {
		t.Fatal(err)
	}
	card := gpu.Device{UUID: "GPU-12345678", Model: "rtx-3090"}
	if got := rules.For(card, 1); got.Disable || got.Price != 500_000 || got.Temperature != 0 || got.Power != 0 {
		t.Errorf("number 1: %+v", got)
	}
	if got := rules.For(card, 0); !got.Disable || got.Price != 300_000 || got.Temperature != 90 || got.Power != 250_000 {
		t.Errorf("number 0: %+v", got)
	}
	for name, want := range map[string]string{"device.1.lend": "true", "device.1.temperature": "0", "device.1.reserve-vram": "", "device.rtx-3090.lend": "false"} {
		if key, err := FindKey(name); err != nil || key.Get(c) != want {
			t.Errorf("%s is %q, %v", name, key.Get(c), err)
		}
	}
}
