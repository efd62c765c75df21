package pci_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/gpu/pci"
)

func TestCardsOfEveryMakerAreSeen(t *testing.T) {
	host := gputest.NewHost(t)
	host.Card("0000:00/0000:00:02.0", 0x8086, 0x4680, "i915", nil)
	host.Card("0000:00/0000:00:01.0/0000:01:00.0", 0x10de, 0x2684, "nvidia",
		map[string]string{"max_link_speed": "16.0 GT/s PCIe", "max_link_width": "16", "numa_node": "0"})
	host.Card("0000:40/0000:40:01.0/0000:41:00.0/0000:42:08.0/0000:43:00.0", 0x1002, 0x74a1, "", map[string]string{"class": "0x120000"})
	host.Other("0000:00/0000:00:1f.3", 0x8086, "0x040300") // sound
	got, err := pci.Cards(host.Root)
	if err != nil {
		t.Fatal(err)
	}
	want := []pci.Card{
		{PCI: gpu.PCI{Address: "0000:00:02.0", Vendor: pci.Intel, ID: 0x4680}, NUMANode: -1, Driver: "i915"},
		{PCI: gpu.PCI{Address: "0000:01:00.0", Vendor: pci.NVIDIA, ID: 0x2684, Generation: 4, Width: 16}, Driver: "nvidia"},
		{PCI: gpu.PCI{Address: "0000:43:00.0", Vendor: pci.AMD, ID: 0x74a1, Switch: "0000:41:00.0"}, NUMANode: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCardsBehindOneSwitchShareIt(t *testing.T) {
	host := gputest.NewHost(t)
	for _, at := range []string{
		"0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:03:00.0",
		"0000:00/0000:00:01.0/0000:01:00.0/0000:02:04.0/0000:04:00.0",
		"0000:80/0000:80:01.0/0000:81:00.0/0000:82:00.0/0000:83:00.0",
		"0000:80/0000:80:03.0/0000:91:00.0",
	} {
		host.Card(at, 0x10de, 0x20b2, "nvidia", nil)
	}
	cards, err := pci.Cards(host.Root)
	if err != nil || len(cards) != 4 {
		t.Fatalf("%v, %v", cards, err)
	}
	if cards[0].Switch == "" || cards[0].Switch != cards[1].Switch || cards[2].Switch == cards[0].Switch || cards[3].Switch != "" {
		t.Errorf("switches are %q %q %q %q", cards[0].Switch, cards[1].Switch, cards[2].Switch, cards[3].Switch)
	}
}

func TestAMachineWithoutABusHasNoCards(t *testing.T) {
	if cards, err := pci.Cards(t.TempDir()); err != nil || cards != nil {
		t.Errorf("%v, %v", cards, err)
	}
	if m, ok := pci.NVIDIAModule(t.TempDir()); ok {
		t.Errorf("a module %+v", m)
	}
}

func TestTheModuleTellsItsVersionAndCards(t *testing.T) {
	host := gputest.NewHost(t)
	host.Module("580.95.05", map[string]string{
		"0000:01:00.0": "GPU-5d9c3a3e-0000-4000-8000-000000000001",
		"0000:02:00.0": "GPU-????????-????-????-????-????????????",
	})
	got, ok := pci.NVIDIAModule(host.Root)
	want := pci.Module{Version: "580.95.05", UUIDs: map[string]string{
		"0000:01:00.0": "GPU-5d9c3a3e-0000-4000-8000-000000000001", "0000:02:00.0": "",
	}}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("%t %s", ok, diff)
	}
}

func TestAddressesAreWrittenOneWay(t *testing.T) {
	for in, want := range map[string]string{
		"00000000:65:00.0": "0000:65:00.0", "0000:0A:00.0": "0000:0a:00.0", "00010000:01:00.0": "10000:01:00.0", "": "", "x": "x", "zz:1": "zz:1",
	} {
		if got := pci.Address(in); got != want {
			t.Errorf("%q is %q: want %q", in, got, want)
		}
	}
}
