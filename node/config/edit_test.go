package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/job/owner"
)

func TestSettingKeepsCommentsAndEverythingElse(t *testing.T) {
	text := `# my rig
network: lab
price:
  floor: 0.20 # what I want
`
	for _, step := range []struct {
		key    string
		values []string
	}{
		{"price.floor", []string{"0.35"}},
		{"lend.quiet", []string{"mon-fri 22:00-07:00", "sat,sun"}},
		{"lend.idle-only", []string{"true"}},
		{"device.rtx-3090.watts", []string{"250"}},
		{"device.rtx-3090.lend", []string{"false"}},
		{"device.0.price", []string{"0.5"}},
		{"device.0.price", nil},
		{"lend.idle-only", nil},
	} {
		out, err := Set([]byte(text), step.key, step.values)
		if err != nil {
			t.Fatalf("%s %v: %v", step.key, step.values, err)
		}
		text = string(out)
	}
	want := `# my rig
network: lab
price:
  floor: 0.35 # what I want
lend:
  quiet: ["mon-fri 22:00-07:00", "sat,sun"]
devices:
  - device: "rtx-3090"
    watts: 250
    lend: false
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
}

func TestADeviceIsSetWhereEveryEntryIsAComment(t *testing.T) {
	for _, text := range []string{"devices:\n  # - device: 0\n", "devices: []\n", "devices: ~\nnetwork: lab\n"} {
		out, err := Set([]byte(text), "device.0.lend", []string{"false"})
		if err != nil || !strings.Contains(string(out), "lend: false") {
			t.Errorf("%q became %q, %v", text, out, err)
		}
		if again, err := Set(out, "device.0.lend", nil); err != nil || strings.Contains(string(again), "lend") {
			t.Errorf("%q became %q, %v", out, again, err)
		}
	}
}

func TestWhatIsSetIsRead(t *testing.T) {
	dir := t.TempDir()
	var text []byte
	values := map[string][]string{
		"price.floor": {"0.35"}, "price.electricity": {"0.30"}, "lend.hours": {"18:00-08:00"}, "lend.quiet": {"sun"},
		"lend.idle-only": {"true"}, "lend.reserve-strict": {"true"}, "lend.idle-after": {"10m"}, "lend.yield-after": {"5s"}, "lend.notice": {"1m"},
		"lend.watts": {"250"}, "lend.temperature": {"80"}, "lend.reserve-vram": {"2GiB"},
	}
	for key, v := range values {
		var err error
		if text, err = Set(text, key, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(FilePath(dir), text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(dir, env())
	if err != nil {
		t.Fatal(err)
	}
	for key, v := range values {
		k, err := FindKey(key)
		if err != nil || k.Get(c) != v[0] {
			t.Errorf("%s is %q, not %q; %v", key, k.Get(c), v[0], err)
		}
	}
	rules, err := c.Rules()
	if err != nil || rules.Every != (owner.Limits{Power: 250_000, Temperature: 80, Reserve: 2 << 30}) || rules.YieldAfter != 5*time.Second || rules.Tariff != 300_000 {
		t.Errorf("rules %+v, %v", rules, err)
	}
}

func TestWhatDoesNotFitIsNotSet(t *testing.T) {
	for _, c := range []struct {
		key    string
		values []string
		want   string
	}{
		{"price.flor", []string{"1"}, `did you mean "price.floor"?`},
		{"price.floor", []string{"free"}, `price "free"`},
		{"price.floor", []string{"1", "2"}, "takes one value"},
		{"lend.quiet", []string{"someday 22:00-07:00"}, `"someday" is no day`},
		{"lend.quiet", []string{"22-07"}, "want"},
		{"lend.watts", []string{"lots"}, "want watts"},
		{"lend.temperature", []string{"12"}, "want 40 to 110"},
		{"lend.notice", []string{"2h"}, "at most 1h"},
		{"lend.deny", []string{"bob"}, "want a peer id"},
		{"device.0.prise", []string{"1"}, `did you mean "price"?`},
		{"device..price", []string{"1"}, "want device.NAME"},
		{"metrics", []string{"0.0.0.0:9400"}, "want a loopback address"},
		{"lend.idle-only", []string{"perhaps"}, "true or false"},
	} {
		if _, err := Set(nil, c.key, c.values); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v; want %q", c.key, c.values, err, c.want)
		}
	}
}

func TestEveryKeyCanBeGotAndSetToWhatItIs(t *testing.T) {
	c := Default("/data")
	c.Name, c.SimulateGPU, c.Metrics = "rig", "rtx-4090", "127.0.0.1:1"
	for _, k := range Keys() {
		v := k.Get(c)
		if k.Help == "" {
			t.Errorf("%s says nothing", k.Name)
		}
		if k.List && v == "" {
			continue
		}
		if _, err := Set(nil, k.Name, []string{v}); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}

func TestOnlyThoseAreServedWhomTheOwnerWants(t *testing.T) {
	for _, c := range []struct {
		l    Lending
		want bool
	}{
		{Lending{}, true}, {Lending{Deny: []string{"a"}}, false}, {Lending{Allow: []string{"b"}}, false},
		{Lending{Allow: []string{"a", "b"}}, true}, {Lending{Allow: []string{"a"}, Deny: []string{"a"}}, false},
	} {
		if got := c.l.Serves("a"); got != c.want {
			t.Errorf("%+v serves: %t", c.l, got)
		}
	}
}
