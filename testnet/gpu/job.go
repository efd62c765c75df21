//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
)

// job runs the load in a container that has one card and no toolkit.
func (c *check) job(ctx context.Context) (string, error) {
	return c.inMarket(ctx, func(m *market) (string, error) {
		out, err := m.run(ctx, "/load", "burn", "5")
		if err != nil {
			return "", err
		}
		if !strings.Contains(out, "devices 1\n") || !strings.Contains(out, "results right\n") {
			return "", fmt.Errorf("the task printed %q", out)
		}
		return strings.ReplaceAll(strings.TrimSpace(out), "\n", ", "), nil
	})
}

// evidence is what the beats of a busy job say.
func (c *check) evidence(ctx context.Context) (string, error) {
	return c.inMarket(ctx, func(m *market) (string, error) {
		if _, err := m.run(ctx, "/load", "burn", "10"); err != nil {
			return "", err
		}
		e, err := m.lastEvidence(ctx)
		if err != nil {
			return "", err
		}
		seen := fmt.Sprintf("driver %s, busy %d ms, %d %% at most, %d J, %d °C, %s, foreign %d", e.Driver, e.BusyMs, e.UtilizationMax,
			e.EnergyMj/1000, e.TemperatureMax, gpu.FormatVRAM(e.MemoryBytes), e.Foreign)
		if e.UtilizationMax < 80 || e.BusyMs == 0 || e.Foreign != 0 || e.Driver != string(c.machine.Driver) {
			return "", fmt.Errorf("that is not what was done: %s", seen)
		}
		return seen, nil
	})
}

// foreign computes on the card beside a task of somebody else.
func (c *check) foreign(ctx context.Context) (string, error) {
	if len(c.machine.Lendable()) > 1 {
		return "", fmt.Errorf("%w: with several cards the task's and the intruder's may be two", errNotPossible)
	}
	return c.inMarket(ctx, func(m *market) (string, error) {
		beside, _, err := c.work(ctx, "burn", "30")
		if err != nil {
			return "", err
		}
		defer func() { _ = beside.Process.Kill(); _ = beside.Wait() }()
		if _, err := m.run(ctx, "/load", "burn", "10"); err != nil {
			return "", err
		}
		e, err := m.lastEvidence(ctx)
		if err != nil {
			return "", err
		}
		if e.Foreign == 0 {
			return "", errors.New("the beats name no foreign process")
		}
		return fmt.Sprintf("the beats name %d foreign process", e.Foreign), nil
	})
}
