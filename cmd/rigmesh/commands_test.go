package main

import (
	"encoding/json"
	"strings"
	"testing"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestOffersAreATableOrJSON(t *testing.T) {
	f := startFakeNode(t)
	if _, stderr, code := f.rigmesh("offers"); code != 1 || !strings.Contains(stderr, "no offers that fit, from 2 connected peers") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	gpu := func(model string, price uint64) *marketv1.Device {
		return &marketv1.Device{Model: model, VramBytes: 24 << 30, Price: price, Simulated: true}
	}
	f.offers = []*controlv1.SeenOffer{{PeerId: fakePeer, Offer: &marketv1.Offer{
		Devices: []*marketv1.Device{gpu("rtx-4090", 350_000), gpu("rtx-4090", 400_000), gpu("evil\x1b]0;\x07", 350_000)},
		Machine: &marketv1.Machine{Cpus: 16, MemoryBytes: 64 << 30}, FreeDevices: 2, MaxDurationMs: 86_400_000, Region: "eu-west",
	}}}
	stdout, stderr, code := f.rigmesh("offers", "--wait", "1s")
	if code != 0 || strings.Contains(stdout, "\x1b") {
		t.Fatalf("exit code %d, %q, %s", code, stdout, stderr)
	}
	for _, want := range []string{"eWorker1", "2× rtx-4090 (simulated), evil]0; (simulated)", "24 GiB", "2/3", "0.35–0.40", "64 GiB", "24h", "eu-west"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if _, stderr, code := f.rigmesh("offers", "--region", "us,eu-east"); code != 1 || !strings.Contains(stderr, "no offers that fit") {
		t.Errorf("elsewhere: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := f.rigmesh("offers", "--region", "Mars!", "--vram", "24"); code != 2 || !strings.Contains(stderr, "Mars!") || !strings.Contains(stderr, "--vram 24B: less than 1MiB") {
		t.Errorf("no region, and no unit: exit code %d, %s", code, stderr)
	}
	stdout, _, _ = f.rigmesh("offers", "--json", "--max-price", "0.36", "--region", "eu")
	var views []offerView
	if err := json.Unmarshal([]byte(stdout), &views); err != nil || len(views) != 1 || views[0].Worker != fakePeer || views[0].Devices[0].Price != 350_000 || views[0].Region != "eu-west" {
		t.Errorf("json: %v, %s", err, stdout)
	}
}

func TestOffersOfARegionAreLookedForWhenNoneIsKnown(t *testing.T) {
	f := startFakeNode(t)
	of := func(id, region string) []*controlv1.SeenOffer {
		return []*controlv1.SeenOffer{{PeerId: id, Offer: &marketv1.Offer{Region: region, Devices: []*marketv1.Device{{Model: "rtx-4090"}}}}}
	}
	f.offers, f.farther = of("12D3KooWFakeWorkerNear", "us"), of("12D3KooWFakeWorkerInEU", "eu-west")
	for region, want := range map[string]string{"eu": "rkerInEU", "us": "rkerNear"} {
		stdout, stderr, code := f.rigmesh("offers", "--region", region)
		if code != 0 || !strings.Contains(stdout, want) || strings.Count(stdout, "\n") != 2 {
			t.Errorf("%s: exit code %d, %s%s", region, code, stdout, stderr)
		}
	}
}

func TestPsIsATableOrJSON(t *testing.T) {
	f := startFakeNode(t)
	f.jobs = []*controlv1.Job{
		{JobId: fakeJob, Name: "tune", Role: "requester", State: "ended", Image: "oci-archive:x.tar", PeerId: fakePeer, CreditMs: 90_000, Amount: 1_500_000, Exit: &leasev1.Exit{Code: 137, Oom: true}},
		{JobId: fakeLease, Role: "worker", State: "running"},
	}
	stdout, _, code := f.rigmesh("ps", "-a")
	if code != 0 {
		t.Fatal(code)
	}
	for _, want := range []string{"3f2a9c00", "tune", "eWorker1", "1m30s", "1.50", "137 (out of memory)", "77aa0000  -     worker"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	stdout, _, _ = f.rigmesh("ps", "--json")
	var views []jobView
	if err := json.Unmarshal([]byte(stdout), &views); err != nil || len(views) != 2 || *views[0].Exit != 137 || views[1].Exit != nil {
		t.Errorf("json: %v, %s", err, stdout)
	}
}

func TestLogsKeepStdoutAndStderrApart(t *testing.T) {
	f := startFakeNode(t)
	f.stdout, f.stderr = "one\x00\x1b[2J", "two"
	stdout, stderr, code := f.rigmesh("logs", "-f", "3f2a")
	if stdout != f.stdout || stderr != "two" || code != 0 { // a file gets every byte
		t.Errorf("stdout %q, stderr %q, exit code %d", stdout, stderr, code)
	}
	if _, stderr, code := f.rigmesh("logs", "ffff"); code != 1 || !strings.Contains(stderr, "hint: rigmesh ps -a lists the jobs") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestStopWaitsForTheEnd(t *testing.T) {
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{leaseEvent()}
	f.stopped = []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_STOPPED, nil)}
	if _, stderr, code := f.rigmesh("stop", "--abandon", "3f2a"); code != 0 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if !<-f.stops {
		t.Error("the lease was not given up")
	}
}

func TestStatusSaysWhatIsOfferedAndWhatIsWrong(t *testing.T) {
	f := startFakeNode(t)
	stdout, _, _ := f.rigmesh("status")
	for _, want := range []string{
		fakePeer, "main, 2 peers connected", "rtx-4090 (simulated), 1 free, at 0.35 credits per GPU-hour",
		"/ip4/127.0.0.1/tcp/4001/p2p/", "warning: the clock is 20 s off\n  timedatectl set-ntp true\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	stdout, _, _ = f.rigmesh("status", "--json")
	var v statusView
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v.Devices[0].Price != 350_000 || v.Conditions[0].Code != "clock" {
		t.Errorf("json: %v, %s", err, stdout)
	}
}

func TestDownStopsTheNode(t *testing.T) {
	f := startFakeNode(t)
	if _, stderr, code := f.rigmesh("down", "--drain"); code != 0 || !<-f.down {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestNodeOfAnotherNetworkIsRefused(t *testing.T) {
	f := startFakeNode(t)
	_, stderr, code := f.rigmesh("--network", "lab", "offers")
	if code != 1 || !strings.Contains(stderr, `is on network "main", not "lab"`) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestReceiptOfTheNodeIsCheckedBeforeItIsShown(t *testing.T) {
	f := startFakeNode(t)
	if stdout, _, code := f.rigmesh("receipt", "show", "77aa"); code != 1 || stdout != "" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	file := t.TempDir() + "/lease.receipt"
	if _, stderr, code := f.rigmesh("receipt", "export", "77aa", file); code != 0 || read(t, file) != "not a receipt" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if _, stderr, code := f.rigmesh("receipt", "export", "77aa", file); code != 1 || !strings.Contains(stderr, "file exists") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if stdout, _, _ := f.rigmesh("receipt", "list", "--json"); strings.TrimSpace(stdout) != "[]" {
		t.Errorf("list: %s", stdout)
	}
}
