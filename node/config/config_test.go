package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestEnvironmentWinsOverFileAndFileOverDefaults(t *testing.T) {
	dir := t.TempDir()
	text := `
network: lab
price: {floor: 0.35}
listen: [/ip4/0.0.0.0/tcp/4001]
max-duration: 2d
log-level: debug
stranger-leases: 2
stranger-budget: 90m
mdns: false
relay: 2GiB
upload-max: 2MiB
psk: /etc/rigmesh.psk
images: {share: false}
store: {max: 50GiB}
`
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir, env("RIGMESH_NETWORK", "other", "RIGMESH_BOOTSTRAP", "/a, /b", "RIGMESH_ABSENT_GRACE", "5m", "RIGMESH_STRANGER_LEASES", "3", "RIGMESH_RELAY", "1GiB"))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DataDir: dir, Network: "other", Listen: []string{"/ip4/0.0.0.0/tcp/4001"}, Bootstrap: []string{"/a", "/b"},
		Price: 350_000, MaxDuration: 48 * time.Hour, AbsentGrace: 5 * time.Minute, StrangerLeases: 3, StrangerBudget: 90 * time.Minute, LogLevel: "debug",
		Lending: defaultLending(), Reach: Reach{MDNS: false, PortMap: true, RelayBytes: 1 << 30, UploadMax: 2 << 20, PSK: "/etc/rigmesh.psk"},
		Images: Images{Registries: true, MaxBytes: 100 << 30, MaxLayers: 128}, FetchInputs: true, Store: Store{Max: 50 << 30},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	c, err := Load(t.TempDir(), env())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Price != 200_000 || c.Network != "main" || c.AbsentGrace != 30*time.Minute {
		t.Errorf("defaults: %+v", c)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	const id = "/p2p/12D3KooWGzBXWNvHpLALvHVcfZFDqp7Cq5NtY3ewrbUTnwrvUcWB"
	c := Config{
		DataDir: "here", Network: "My Net", Listen: []string{"nonsense", "/ip4/1.2.3.4/tcp/1" + id}, Bootstrap: []string{"/ip4/1.2.3.4/tcp/1"},
		Price: 1 << 62, MaxDuration: 1, AbsentGrace: 1, IdleExit: -1, LogLevel: "loud",
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, want := range []string{
		`data directory "here"`, `network "My Net"`, `listen address "nonsense"`, "names a peer", "does not end in /p2p/",
		"price", "max-duration", "absent-grace", "idle-exit", `log-level "loud"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	good := Default("/data")
	good.Bootstrap = []string{"/ip4/1.2.3.4/tcp/1" + id}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestBadFileAndEnvironmentAreNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte("network: a\npirce: {floor: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir, env())
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != 2 || syntax.Text != `unknown key "pirce"; did you mean "price"?` {
		t.Errorf("file: %v", err)
	}
	if _, err := Load(t.TempDir(), env("RIGMESH_PRICE", "x", "RIGMESH_MAX_DURATION", "y")); err == nil ||
		!strings.Contains(err.Error(), "RIGMESH_PRICE") || !strings.Contains(err.Error(), "RIGMESH_MAX_DURATION") {
		t.Errorf("environment: %v", err)
	}
}

func TestDataDirectoryIsTheUsersOwn(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/somewhere")
	dir, err := DefaultDataDir()
	want := "/somewhere/rigmesh"
	if os.Geteuid() == 0 {
		want = "/var/lib/rigmesh"
	}
	if err != nil || dir != want {
		t.Errorf("%s, %v", dir, err)
	}
}
