package nvml

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
)

func TestInventoryIsWhatDriverAndBusSay(t *testing.T) {
	v := dgxA100(t).inventory()
	if v.Driver != "550.54.15" || v.CUDA != "12.4" || len(v.Devices) != 8 || len(v.Lendable()) != 8 || len(v.Others) != 0 {
		t.Fatalf("got %+v", v)
	}
	want := gpu.Device{
		UUID: "GPU-00000002-0000-4000-8000-000000000002", Model: "a100-sxm4-40gb", VRAM: 40 * gpu.GiB, Name: "NVIDIA A100-SXM4-40GB",
		Capability: "8.0", Driver: "550.54.15", CUDA: "12.4",
		PCI:      gpu.PCI{Address: "0000:03:00.0", Vendor: 0x10de, ID: 0x20b0, Generation: 4, Width: 16, Switch: "0000:21:00.0"},
		Power:    gpu.PowerLimits{Now: 400_000, Default: 400_000, Least: 100_000, Most: 400_000},
		ECC:      true,
		NVLink:   []string{"GPU-00000003-0000-4000-8000-000000000003"},
		NUMANode: 0,
	}
	if diff := cmp.Diff(want, v.Devices[2]); diff != "" {
		t.Error(diff)
	}
	if v.Devices[2].PCI.Switch != v.Devices[3].PCI.Switch || v.Devices[3].PCI.Switch == v.Devices[4].PCI.Switch || v.Devices[7].NUMANode != 1 {
		t.Error("switches or NUMA nodes are not those of the bus")
	}
	if len(v.Problems) != 1 || v.Problems[0].Code != "unsafe-driver" {
		t.Errorf("problems %+v", v.Problems)
	}
}

func TestInventoryReadsOtherMachinesToo(t *testing.T) {
	for machine, want := range map[string]struct {
		product    uint16
		model      string
		capability gpu.Version
	}{
		"dgxh100": {0x2330, "h100-sxm", "9.0"},
		"dgxh200": {0x2333, "h200-141gb-hbm3e", "9.0"}, // as the mock calls it
		"dgxb200": {0x2b00, "b200-180gb-hbm3e", "10.0"},
	} {
		r := newRig(t, machine, 8, want.product)
		for _, d := range r.inventory().Devices {
			if d.Model != want.model || d.Capability != want.capability || d.Fault != gpu.FaultNone {
				t.Errorf("%s has %+v", machine, d)
			}
		}
	}
}

func TestCardsThatTheBusDoesNotHaveAreCaught(t *testing.T) {
	v := newRig(t, "dgxa100", 1, 0x20b0).inventory()
	if len(v.Devices) != 8 || len(v.Lendable()) != 1 {
		t.Fatalf("%d devices, %d to lend", len(v.Devices), len(v.Lendable()))
	}
	for _, d := range v.Devices[1:] {
		if d.Fault != gpu.FaultBus || !strings.Contains(d.FaultText, d.PCI.Address) {
			t.Errorf("%s: %s %q", d.UUID, d.Fault, d.FaultText)
		}
	}
}

func TestCardsThatAreOthersThanTheDriverSaysAreCaught(t *testing.T) {
	for _, d := range newRig(t, "dgxa100", 8, 0x1e04).inventory().Devices { // eight old cards
		if d.Fault != gpu.FaultBus || !strings.Contains(d.FaultText, "10de:20b0") || !strings.Contains(d.FaultText, "10de:1e04") {
			t.Errorf("%s: %s %q", d.UUID, d.Fault, d.FaultText)
		}
	}
	r := dgxA100(t)
	r.host.Module("550.54.15", map[string]string{"0000:01:00.0": "GPU-of-another-card"})
	v := r.inventory()
	if v.Devices[0].Fault != gpu.FaultBus || !strings.Contains(v.Devices[0].FaultText, "GPU-of-another-card") || v.Devices[1].Fault != gpu.FaultNone {
		t.Errorf("%+v", v.Devices[0])
	}
}

func TestMachinesThatCannotLendSayWhy(t *testing.T) {
	nothing := New(Config{Helper: "/nonexistent", Root: gputest.NewHost(t).Root})
	amd := gputest.NewHost(t)
	amd.Card("0000:00/0000:00:01.0/0000:03:00.0", 0x1002, 0x744c, "amdgpu", nil)
	for name, c := range map[string]struct {
		client  *Client
		problem string
		others  string
	}{
		"nothing":     {nothing, "no-gpu", ""},
		"another's":   {New(Config{Helper: "/nonexistent", Root: amd.Root}), "no-nvidia", "AMD: only NVIDIA's cards can be lent yet"},
		"no driver":   {newRig(t, "no-driver", 1, 0x2684).Client, "no-driver", "NVIDIA: NVIDIA's driver does not list it: it may have fallen off the bus"},
		"old driver":  {newRig(t, "old-driver", 1, 0x2684).Client, "old-driver", "NVIDIA: NVIDIA's driver does not list it: it may have fallen off the bus"},
		"no helper":   {New(Config{Helper: "/nonexistent", Root: newRig(t, "dgxa100", 1, 0x20b0).host.Root}), "no-inventory", "NVIDIA: NVIDIA's driver does not list it: it may have fallen off the bus"},
		"other cards": {newRig(t, "dgxa100", 9, 0x20b0).Client, "unsafe-driver", "NVIDIA: NVIDIA's driver does not list it: it may have fallen off the bus"},
	} {
		v, err := c.client.Inventory(t.Context())
		if err != nil || len(v.Problems) != 1 || v.Problems[0].Code != c.problem || v.Problems[0].Remedy == "" {
			t.Errorf("%s: %v %+v", name, err, v.Problems)
		}
		var others []string
		for _, o := range v.Others {
			others = append(others, o.Vendor+": "+o.Reason)
		}
		if got := strings.Join(others, "; "); got != c.others {
			t.Errorf("%s: others %q: want %q", name, got, c.others)
		}
	}
}

func TestCardsAreSeenPastEveryDriver(t *testing.T) {
	host := gputest.NewHost(t)
	for i, driver := range []string{"", "nouveau", "vfio-pci"} {
		host.Card("0000:00/0000:00:01.0/0000:0"+string(rune('1'+i))+":00.0", 0x10de, 0x2684, driver, nil)
	}
	host.Card("0000:00/0000:00:02.0", 0x8086, 0x56a0, "xe", nil)
	v, err := New(Config{Helper: "/nonexistent", Root: host.Root}).Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range v.Others {
		got = append(got, o.PCI.Address+" "+o.Vendor+" "+o.Reason)
	}
	want := []string{
		"0000:00:02.0 Intel only NVIDIA's cards can be lent yet",
		"0000:01:00.0 NVIDIA no driver is loaded for it",
		"0000:02:00.0 NVIDIA its driver is nouveau, and lending takes NVIDIA's own",
		"0000:03:00.0 NVIDIA it is set aside for a virtual machine (vfio-pci)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSlicesAreDevicesAndTheirCardIsNot(t *testing.T) {
	r := dgxA100(t)
	r.fault("mig 1\n")
	v := r.inventory()
	if len(v.Devices) != 10 || len(v.Lendable()) != 9 {
		t.Fatalf("%d devices, %d to lend", len(v.Devices), len(v.Lendable()))
	}
	card, slice := v.Devices[1], v.Devices[2]
	want := gpu.Device{
		UUID: "MIG-00000001-0000-4000-8000-000000000000", Model: "a100-sxm4-40gb", VRAM: 19968 * gpu.MiB, Name: "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
		MIG:        gpu.MIG{Parent: card.UUID, Profile: "3g.20gb"},
		Capability: "8.0", Driver: "550.54.15", CUDA: "12.4", PCI: card.PCI, ECC: true,
	}
	if diff := cmp.Diff(want, slice, cmpopts.EquateEmpty()); diff != "" || !card.MIG.Enabled {
		t.Error(diff)
	}
}

func TestAnInventoryDoesWithoutWhatADriverLacks(t *testing.T) {
	r := dgxA100(t)
	r.fault("without nvmlDeviceGetPowerManagementLimitConstraints\nwithout nvmlDeviceGetNvLinkState\nwithout nvmlDeviceGetMigMode\nwithout nvmlDeviceGetEccMode\n")
	d := r.inventory().Devices[0]
	if d.Fault != gpu.FaultNone || d.Power != (gpu.PowerLimits{}) || d.NVLink != nil || d.ECC {
		t.Errorf("%+v", d)
	}
}

func TestALostCardIsInTheInventoryWithItsFault(t *testing.T) {
	r := dgxA100(t)
	r.fault("lost 4\n")
	v := r.inventory()
	if d := v.Devices[4]; d.Fault != gpu.FaultLost || len(v.Lendable()) != 7 {
		t.Errorf("%+v", d)
	}
}

func TestDriversAndToolkitsWithKnownHolesAreNamed(t *testing.T) {
	for v, want := range map[gpu.Version]string{
		"470.256.02": "old-driver", "": "old-driver", "535.183.01": "unsafe-driver", "580.95.05": "unsafe-driver", "580.178.04": "",
		"580.200.01": "", "595.91.06": "unsafe-driver", "600.10.01": "unsafe-driver", "615.71.09": "", "700.01": "",
	} {
		got := ""
		if p := CheckDriver(v); p != nil {
			got = p.Code
		}
		if got != want {
			t.Errorf("driver %q: %q, want %q", v, got, want)
		}
	}
	if CheckToolkit("1.17.7") == nil || CheckToolkit("1.17.8") != nil || CheckToolkit("1.20.1") != nil {
		t.Error("toolkits are judged wrong")
	}
}
