//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

// stop ends what runs as a person would, and looks for what is left.
func (s *show) stop(ctx context.Context) lab.Remains {
	if err := s.stopJobs(ctx); err != nil {
		fmt.Println(err)
	}
	// The requester leaves first, so that no worker waits for it.
	for _, name := range slices.Backward(s.nodes) {
		if !s.lab.Answers(ctx, name) {
			continue
		}
		if _, err := s.run(ctx, "down", "--drain", "--data", name); err != nil {
			fmt.Println(err)
		}
	}
	if err := s.lab.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	left, err := s.lab.Remains()
	if err != nil {
		fmt.Println(err)
	}
	return left
}

// stopJobs ends the jobs that run: there are some after Ctrl-C.
func (s *show) stopJobs(ctx context.Context) error {
	if !s.lab.Answers(ctx, requester) {
		return nil
	}
	out, err := s.output(ctx, "ps", "--data", requester, "--json")
	if err != nil {
		return err
	}
	var jobs []struct{ Job string }
	if err := json.Unmarshal(out, &jobs); err != nil {
		return fmt.Errorf("ps --json: %w: %s", err, out)
	}
	for _, job := range jobs {
		if _, err := s.run(ctx, "stop", "--data", requester, "--grace", "2s", job.Job); err != nil {
			return err
		}
	}
	return nil
}

// explain prints the last that every node wrote, for when something went wrong.
func (s *show) explain() {
	for _, name := range s.nodes {
		fmt.Printf("\nthe last lines of %s:\n%s\n", name, s.lab.LastWords(name))
	}
}
