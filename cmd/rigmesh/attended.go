package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// follow shows a job whose program has a terminal: this one, while it runs. Then it brings the
// outputs here and returns the job's exit code as an error. Whoever leaves the terminal
// leaves the job running.
func (s *sitting) follow(ctx context.Context, client *control.Client, v *view, id string, outputs []outputDir) error {
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM) // from outside: keys go to the program
	defer signal.Stop(interrupts)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	go stopOnInterrupt(watching, client, v, id, interrupts)

	var ended *leasev1.JobEnded
	sat := false
	for item, err := range client.Watch(watching, &controlv1.WatchJobRequest{JobId: id, Follow: true, EventsOnly: true}) {
		if err != nil {
			v.clear()
			return hint(err, "the job goes on without this terminal: rigmesh attach %s", short(id))
		}
		e := item.GetEvent()
		v.event(e)
		if ended = e.GetEnded(); ended != nil {
			break
		}
		if e.GetProgress().GetPhase() != leasev1.Phase_PHASE_RUNNING {
			continue
		}
		v.clear()
		switch err := s.attach(ctx, client, id); {
		case err == nil:
			sat = true
		case errors.Is(err, errDetached):
			v.say("the job goes on: rigmesh attach %s comes back, rigmesh stop %s ends it", short(id), short(id))
			return nil
		case !errors.Is(err, errNotRunning): // or it has ended, as one of the next events says
			return hint(err, "the job goes on: rigmesh attach %s comes back, rigmesh stop %s ends it", short(id), short(id))
		}
	}
	if !sat && ended != nil {
		v.clear()
		if err := s.recall(ctx, client, id); err != nil {
			return err
		}
	}
	return settle(ctx, client, v, id, ended, outputs)
}

// attach puts this terminal, or standard input alone, in front of a task's own program. It
// returns nil when that has ended.
func (s *sitting) attach(ctx context.Context, client *control.Client, id string) error {
	return s.run(ctx, client, id, &leasev1.ExecStart{Program: leasev1.ExecProgram_EXEC_PROGRAM_ATTACH})
}

// recall shows what a program that was over too soon wrote to its terminal.
func (s *sitting) recall(ctx context.Context, client *control.Client, id string) error {
	s.tty = newTTY(s.k)
	defer s.tty.restore()
	for item, err := range client.Watch(ctx, &controlv1.WatchJobRequest{JobId: id}) {
		if err != nil {
			return err
		}
		if err := s.tty.earlier(item.GetChunk().GetData()); err != nil {
			return fmt.Errorf("write the task's output: %w", err)
		}
	}
	return nil
}

// give gives standard input to a task's own program, which is read by the way of its output.
// Input that breaks off ends the job, which would wait for the rest.
func (s *sitting) give(ctx context.Context, client *control.Client, v *view, id string) {
	err := s.attach(ctx, client, id)
	if err == nil || errors.Is(err, errNotRunning) || ctx.Err() != nil {
		return
	}
	v.say("standard input does not reach the task any more: %v", err)
	if err := client.Stop(ctx, id, stopGrace, false); err != nil && ctx.Err() == nil {
		v.say("stop: %v", err)
	}
}
