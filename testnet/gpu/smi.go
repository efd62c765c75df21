//go:build linux

package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/pci"
)

// smiLog is what is compared of nvidia-smi -q -x. Drivers before 535 call the power readings otherwise.
type smiLog struct {
	Driver string   `xml:"driver_version"`
	CUDA   string   `xml:"cuda_version"`
	GPUs   []smiGPU `xml:"gpu"`
}

type smiGPU struct {
	Name   string   `xml:"product_name"`
	UUID   string   `xml:"uuid"`
	Bus    string   `xml:"pci>pci_bus_id"`
	Gen    string   `xml:"pci>pci_gpu_link_info>pcie_gen>max_link_gen"`
	Width  string   `xml:"pci>pci_gpu_link_info>link_widths>max_link_width"`
	Memory string   `xml:"fb_memory_usage>total"`
	ECC    string   `xml:"ecc_mode>current_ecc"`
	MIG    string   `xml:"mig_mode>current_mig"`
	Power  smiPower `xml:"gpu_power_readings"`
	Older  smiPower `xml:"power_readings"`
}

type smiPower struct {
	Now     string `xml:"current_power_limit"`
	Older   string `xml:"power_limit"`
	Default string `xml:"default_power_limit"`
	Least   string `xml:"min_power_limit"`
	Most    string `xml:"max_power_limit"`
}

// smi asks nvidia-smi.
func smi(ctx context.Context, args ...string) ([]byte, error) {
	path, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil, fmt.Errorf("%w: there is no nvidia-smi", errNotPossible)
	}
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("nvidia-smi %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

func readLog(b []byte) (smiLog, error) {
	var log smiLog
	if err := xml.Unmarshal(b, &log); err != nil {
		return log, fmt.Errorf("read nvidia-smi's XML: %w", err)
	}
	return log, nil
}

// inventory compares every card with what nvidia-smi says, field by field.
func (c *check) inventory(ctx context.Context) (string, error) {
	b, err := smi(ctx, "-q", "-x")
	if err != nil {
		return "", err
	}
	log, err := readLog(b)
	if err != nil {
		return "", err
	}
	fields, err := compare(c.machine, log)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d cards, %d fields, all equal; %s", len(log.GPUs), fields, c.device.Model), nil
}

// compare holds an inventory against a log; an error names every field that differs.
func compare(v gpu.Inventory, log smiLog) (fields int, err error) {
	cards := map[string]gpu.Device{}
	for _, d := range v.Devices {
		if !d.Slice() {
			cards[d.UUID] = d
		}
	}
	var wrong []error
	same := func(uuid, field, ours, theirs string) {
		fields++
		if ours != theirs {
			wrong = append(wrong, fmt.Errorf("%s of %s is %q, by nvidia-smi %q", field, uuid, ours, theirs))
		}
	}
	same("the machine", "driver", string(v.Driver), log.Driver)
	same("the machine", "CUDA", string(v.CUDA), log.CUDA)
	same("the machine", "number of cards", strconv.Itoa(len(cards)), strconv.Itoa(len(log.GPUs)))
	for _, g := range log.GPUs {
		d, ok := cards[g.UUID]
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s is missing", g.UUID))
			continue
		}
		power := g.Power
		if power.Default == "" {
			power = g.Older
			power.Now = power.Older
		}
		same(g.UUID, "name", d.Name, g.Name)
		same(g.UUID, "bus address", d.PCI.Address, pci.Address(g.Bus))
		same(g.UUID, "PCIe generation", strconv.Itoa(int(d.PCI.Generation)), g.Gen)
		same(g.UUID, "PCIe width", strconv.Itoa(int(d.PCI.Width))+"x", g.Width)
		same(g.UUID, "memory", fmt.Sprintf("%d MiB", d.VRAM/gpu.MiB), g.Memory)
		same(g.UUID, "ECC", enabled(d.ECC, g.ECC), g.ECC)
		same(g.UUID, "MIG", enabled(d.MIG.Enabled, g.MIG), g.MIG)
		same(g.UUID, "power limit", watts(d.Power.Now), power.Now)
		same(g.UUID, "default power limit", watts(d.Power.Default), power.Default)
		same(g.UUID, "least power limit", watts(d.Power.Least), power.Least)
		same(g.UUID, "highest power limit", watts(d.Power.Most), power.Most)
	}
	return fields, errors.Join(wrong...)
}

// enabled is a switch in nvidia-smi's words. Where it says that a card has no such
// switch, ours is off.
func enabled(on bool, theirs string) string {
	switch {
	case on:
		return "Enabled"
	case theirs == "N/A" || theirs == "":
		return theirs
	}
	return "Disabled"
}

func watts(mw uint32) string {
	if mw == 0 {
		return "N/A"
	}
	return fmt.Sprintf("%.2f W", float64(mw)/1000)
}
