//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/gpu"
)

// log is nvidia-smi -q -x in the form it has since driver 535, cut down to what is compared.
const log = `<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<driver_version>580.178.04</driver_version>
	<cuda_version>13.0</cuda_version>
	<attached_gpus>1</attached_gpus>
	<gpu id="00000000:65:00.0">
		<product_name>NVIDIA GeForce RTX 4090</product_name>
		<mig_mode><current_mig>N/A</current_mig></mig_mode>
		<uuid>GPU-a</uuid>
		<pci>
			<pci_bus_id>00000000:65:00.0</pci_bus_id>
			<pci_gpu_link_info>
				<pcie_gen><max_link_gen>4</max_link_gen><current_link_gen>1</current_link_gen></pcie_gen>
				<link_widths><max_link_width>16x</max_link_width></link_widths>
			</pci_gpu_link_info>
		</pci>
		<fb_memory_usage><total>24564 MiB</total></fb_memory_usage>
		<ecc_mode><current_ecc>Disabled</current_ecc></ecc_mode>
		<gpu_power_readings>
			<current_power_limit>300.00 W</current_power_limit>
			<default_power_limit>450.00 W</default_power_limit>
			<min_power_limit>150.00 W</min_power_limit>
			<max_power_limit>600.00 W</max_power_limit>
		</gpu_power_readings>
	</gpu>
</nvidia_smi_log>`

func card() gpu.Device {
	return gpu.Device{
		UUID: "GPU-a", Name: "NVIDIA GeForce RTX 4090", VRAM: 24564 * gpu.MiB,
		PCI:   gpu.PCI{Address: "0000:65:00.0", Generation: 4, Width: 16},
		Power: gpu.PowerLimits{Now: 300_000, Default: 450_000, Least: 150_000, Most: 600_000},
	}
}

func TestAnInventoryIsHeldAgainstEveryField(t *testing.T) {
	for _, text := range []string{log, strings.NewReplacer("gpu_power_readings", "power_readings", "current_power_limit", "power_limit").Replace(log)} {
		theirs, err := readLog([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		ours := gpu.Inventory{Driver: "580.178.04", CUDA: "13.0", Devices: []gpu.Device{card()}}
		if fields, err := compare(ours, theirs); err != nil || fields != 14 {
			t.Errorf("%d fields: %v", fields, err)
		}
	}
}

func TestEveryFieldThatDiffersIsNamed(t *testing.T) {
	theirs, err := readLog([]byte(log))
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*gpu.Device){
		"name": func(d *gpu.Device) { d.Name = "A100" }, "bus address": func(d *gpu.Device) { d.PCI.Address = "0000:66:00.0" },
		"PCIe generation": func(d *gpu.Device) { d.PCI.Generation = 3 }, "PCIe width": func(d *gpu.Device) { d.PCI.Width = 8 },
		"memory": func(d *gpu.Device) { d.VRAM = 23028 * gpu.MiB }, "ECC": func(d *gpu.Device) { d.ECC = true },
		"MIG": func(d *gpu.Device) { d.MIG.Enabled = true }, "power limit": func(d *gpu.Device) { d.Power.Now = 450_000 },
		"default power limit": func(d *gpu.Device) { d.Power.Default = 0 }, "missing": func(d *gpu.Device) { d.UUID = "GPU-b" },
	} {
		d := card()
		change(&d)
		_, err := compare(gpu.Inventory{Driver: "580.178.04", CUDA: "13.0", Devices: []gpu.Device{d}}, theirs)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestPowersThatDifferAreTold(t *testing.T) {
	for _, c := range []struct {
		a, b float64
		far  bool
	}{{300, 320, false}, {300, 360, true}, {8, 12, false}, {8, 20, true}} {
		if far(c.a, c.b) != c.far {
			t.Errorf("%v W and %v W are far apart: %t", c.a, c.b, far(c.a, c.b))
		}
	}
}
