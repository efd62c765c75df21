//go:build linux && cgo && faults

package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

// faults is the path of a file with one fault a line, read at every call:
//
//	hang CARD             calls on the card never return
//	lost CARD             the card fell off the bus
//	xid CARD NUMBER       the driver reports an error, once for each line
//	heat CARD DEGREES     it has that temperature
//	enforced CARD WATTS   something else than its setting holds it to so much
//	process CARD PID      a process computes on it
//	mig CARD              it is cut into two slices
//	without SYMBOL        the library lacks a function
//	crash                 the next call ends the process
type faults string

func (f faults) lines() [][]string {
	content, _ := os.ReadFile(string(f)) // no file: no faults
	var lines [][]string
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			lines = append(lines, fields)
		}
	}
	return lines
}

func (f faults) has(fault ...string) bool {
	return slices.ContainsFunc(f.lines(), func(line []string) bool { return slices.Equal(line, fault) })
}

// values are the last fields of a card's faults of one kind.
func (f faults) values(kind string, card int) []int {
	var values []int
	for _, line := range f.lines() {
		if len(line) == 3 && line[0] == kind && line[1] == strconv.Itoa(card) {
			n, _ := strconv.Atoi(line[2])
			values = append(values, n)
		}
	}
	return values
}

// meet is what a call on a card comes to before it reaches the mock.
func (f faults) meet(card int) nvml.Return {
	if f.has("crash") {
		os.Exit(139)
	}
	number := strconv.Itoa(card)
	if f.has("hang", number) {
		select {}
	}
	if f.has("lost", number) {
		return nvml.ERROR_GPU_IS_LOST
	}
	return nvml.SUCCESS
}

// events tells each line of an Xid once.
type events struct {
	mock.EventSet
	machine *machine
	told    int
}

func (e *events) Wait(ms uint32) (nvml.EventData, nvml.Return) {
	deadline := time.After(time.Duration(ms) * time.Millisecond)
	for {
		seen := 0
		for _, line := range e.machine.faults.lines() {
			if line[0] != "xid" || len(line) != 3 {
				continue
			}
			if seen++; seen > e.told {
				e.told++
				card, _ := strconv.Atoi(line[1])
				xid, _ := strconv.ParseUint(line[2], 10, 64)
				return nvml.EventData{Device: e.machine.cards[card], EventType: nvml.EventTypeXidCriticalError, EventData: xid}, nvml.SUCCESS
			}
		}
		select {
		case <-deadline:
			return nvml.EventData{}, nvml.ERROR_TIMEOUT
		case <-time.After(10 * time.Millisecond):
		}
	}
}
