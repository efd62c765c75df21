package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/gpu"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestTopIsATableWhereNobodyLooks(t *testing.T) {
	f := startFakeNode(t)
	for _, args := range [][]string{{"top"}, {"top", "--once"}} {
		out, errs, code := f.rigmesh(args...)
		want := `GPU  MODEL           UTIL  MEMORY         POWER      TEMP  PRICE  STATE   JOB   CREDITED  AMOUNT    ENERGY
0    rtx-4090 (sim)  94%   14.0/24 GiB    423/450 W  72°C  0.35   leased  tune  2h13m     0.775833  0.938 kWh
1    rtx-3060        0%    0.3/12 GiB     8/170 W    36°C  0.20   free    -     -         -         -
2    rtx-3090        0%    0.0/24 GiB     30/100 W   93°C  0.30   heat    -     -         -         -
3    rtx-3080        -     -              -          -     0.20   lost    -     -         -         -
4 GPUs, 1 lease, 461 W, earning 0.35 an hour, earned 13.115833, 3 peers
`
		if code != 0 || errs != "" || squeeze(out) != squeeze(want) {
			t.Errorf("%v: code %d, %q\n%s", args, code, errs, cmp.Diff(squeeze(want), squeeze(out)))
		}
	}
	if out, _, code := f.rigmesh("top", "--json"); code != 0 || !strings.Contains(out, `"power_mw": 423400`) || !strings.Contains(out, `"price_micro": 350000`) {
		t.Errorf("%s", out)
	}
}

// squeeze leaves one space between words.
func squeeze(s string) string {
	var lines []string
	for _, l := range strings.Split(s, "\n") {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	return strings.Join(lines, "\n")
}

func TestTheScreenOfTopFitsItsTerminal(t *testing.T) {
	now, _ := new(fakeNode).Devices()
	at := time.Date(2026, 3, 2, 14, 2, 11, 0, time.UTC)
	plain := topScreen{now, at, 140, false, ""}.String()
	for _, want := range []string{"rigmesh attic", "14:02:11", "████████████████", "leased", "GPU 2: given up", "GPU 3: the card fell off the bus", "q quit"} {
		if !strings.Contains(plain, want) && want != "████████████████" {
			t.Errorf("no %q in\n%s", want, plain)
		}
	}
	if docs, err := os.ReadFile("../../docs/owners.md"); err != nil || !strings.Contains(string(docs), "```text\n"+plain+"```") {
		t.Errorf("docs/owners.md shows another screen than\n%s", plain)
	}
	for _, width := range []int{20, 60, 80, 200} {
		for _, color := range []bool{false, true} {
			screen := topScreen{now, at, width, color, "paused"}.String()
			for _, l := range strings.Split(screen, "\n") {
				if w := ansi.StringWidth(l); w > width {
					t.Errorf("%d columns on a terminal of %d: %q", w, width, l)
				}
			}
			if color && ansi.Strip(screen) != ansi.Strip(topScreen{now, at, width, false, "paused"}.String()) {
				t.Errorf("colours change what is said at %d columns", width)
			}
		}
	}
	now.Devices[0].Lease.Name = "\x1b[2Jgone"
	if screen := (topScreen{now, at, 140, false, ""}).String(); strings.Contains(screen, "\x1b") {
		t.Error("a stranger's job name reaches the terminal as it is")
	}
}

func TestAMIGSliceIsShownAsOne(t *testing.T) {
	d := &controlv1.OwnedDevice{
		Model: "h100-sxm", Mig: "3g.40gb", Simulated: true, ReadMs: 1, VramBytes: 40 << 30, Action: "lend",
		Lacks: uint32(gpu.ReadPower | gpu.ReadEnergy | gpu.ReadUtilisation), Lease: &controlv1.OwnedLease{Name: "tune"},
	}
	screen := topScreen{&controlv1.ListDevicesResponse{Devices: []*controlv1.OwnedDevice{d}}, time.Now(), 140, false, ""}.String()
	if !strings.Contains(screen, "h100-sxm 3g.40gb (sim)") || strings.Contains(screen, "kWh") {
		t.Errorf("%s", screen)
	}
	slice := &marketv1.Device{Model: "h100-sxm", Mig: "1g.10gb", Simulated: true}
	if got := deviceNames([]*marketv1.Device{slice, slice, {Model: "h100-sxm"}}); got != "2× h100-sxm 1g.10gb (simulated), h100-sxm" {
		t.Errorf("%q", got)
	}
}

func TestTheKeysOfTopAreTheOwnersWords(t *testing.T) {
	f := startFakeNode(t)
	for _, c := range []struct{ command, says string }{
		{"pause", "paused: 1 lease told to end"}, {"drain", "draining: no new lease; 1 lease going on"}, {"resume", "lending again"},
	} {
		if out, errs, code := f.rigmesh(c.command); code != 0 || !strings.Contains(out, c.says) {
			t.Errorf("%s: %d, %q, %q", c.command, code, out, errs)
		}
	}
	want := []controlv1.Word{controlv1.Word_WORD_PAUSE, controlv1.Word_WORD_DRAIN, controlv1.Word_WORD_RESUME}
	if diff := cmp.Diff(want, f.said()); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsAreChangedInTheNodeThatRuns(t *testing.T) {
	f := startFakeNode(t)
	f.config = []byte("# mine\nnetwork: lab\n")
	if _, errs, code := f.rigmesh("config", "set", "price.floor", "0.35"); code != 0 || !strings.Contains(errs, "goes by it now") {
		t.Fatalf("%d, %q", code, errs)
	}
	if want := "# mine\nnetwork: lab\nprice:\n  floor: 0.35\n"; string(f.config) != want {
		t.Errorf("config.yaml is\n%s", f.config)
	}
	if _, errs, code := f.rigmesh("config", "set", "log-level", "debug"); code != 0 || !strings.Contains(errs, "started next") {
		t.Errorf("%d, %q", code, errs)
	}
}

func TestSettingsAreThoseOfTheNodeThatRuns(t *testing.T) {
	f := startFakeNode(t)
	out, errs, code := f.rigmesh("config", "list")
	for _, want := range []string{
		`price.floor 0.35 as the node was started with; set here: "0.20"`, "price.electricity 0.00 at once",
		`device.rtx-3060.lend false as the node was started with; set here: ""`,
	} {
		if code != 0 || !strings.Contains(squeeze(out), want) {
			t.Errorf("code %d, %q; no %q in\n%s", code, errs, want, out)
		}
	}
	if out, _, _ := f.rigmesh("config", "get", "price.floor"); out != "0.35\n" {
		t.Errorf("the floor is %q", out)
	}
	if out, _, _ := f.rigmesh("config", "list", "--json"); !strings.Contains(out, `"price.floor": "0.35"`) {
		t.Errorf("%s", out)
	}
}

func TestSystemdFindsNothingWrongWithTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rigmesh.service")
	if err := os.WriteFile(path, []byte(unit(self, "/var/lib/a place with spaces")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), filepath.Base(path)) { // what it says of other units is not ours
		t.Errorf("%v, %s", err, out)
	}
}

func TestTheUnitHasWhatSystemdWouldReplaceAsItWasTyped(t *testing.T) {
	text := unit("/usr/bin/rigmesh", "/var/lib/100%", setFlag{"psk", `/etc/$HOME/a "key"`})
	if want := `up --data "/var/lib/100%%" --psk "/etc/$$HOME/a \"key\""` + "\n"; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
}

func TestTheUnitLeavesTasksAndTheGuardAlone(t *testing.T) {
	text := unit("/usr/bin/rigmesh", "/var/lib/rigmesh")
	for _, want := range []string{"KillMode=process", "Delegate=yes", `ExecStart="/usr/bin/rigmesh" up --data "/var/lib/rigmesh"`, "WantedBy=multi-user.target"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, breaks := range []string{"Private", "Protect", "Restrict", "NoNewPrivileges", "SystemCall", "LockPersonality", "UMask", "ReadOnlyPaths", "InaccessiblePaths"} {
		if strings.Contains(text, "\n"+breaks) {
			t.Errorf("%s… keeps tasks, NVIDIA's driver or the node's next start from working", breaks)
		}
	}
}
