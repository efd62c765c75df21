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

// staying is the task of a job that somebody works in: it waits to be ended. Every image
// has it, because the worker brings it.
var staying = words{"/.rigmesh/init", "stay"}

// attended makes a job one that somebody works in, and gives the program for that.
func attended(j *jobFile, p plan) ([]string, error) {
	if p.detach {
		return nil, usagef("-d leaves the job alone, and -i and -t do not")
	}
	args := append(append([]string(nil), j.Entrypoint...), j.Command...)
	if len(args) == 0 {
		return nil, hint(usagef("-i and -t want a COMMAND"), "such as: rigmesh run -it %s sh", j.Image)
	}
	j.Entrypoint, j.Command = staying, nil
	return args, p.sit.check()
}

// follow shows a job until its task is there, runs a program in it in front of this
// terminal, ends the job with the program, and returns the program's exit code as an error.
func (s *sitting) follow(ctx context.Context, client *control.Client, v *view, id string, args []string, outputs []outputDir) error {
	waiting, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	go stopOnInterrupt(waiting, client, v, id, interrupts)

	var ended *leasev1.JobEnded
	var program error // how it ended
	sat := false
	for item, err := range client.Watch(ctx, &controlv1.WatchJobRequest{JobId: id, Follow: true, EventsOnly: true}) {
		if err != nil {
			v.clear()
			return hint(err, "the job goes on without this terminal: rigmesh exec -it %s %s", short(id), args[0])
		}
		e := item.GetEvent()
		v.event(e)
		if ended = e.GetEnded(); ended != nil {
			break
		}
		if sat || e.GetProgress().GetPhase() != leasev1.Phase_PHASE_RUNNING {
			continue
		}
		v.clear()
		stopWaiting()
		signal.Stop(interrupts)
		sat = true
		if program = s.run(ctx, client, id, &leasev1.ExecStart{Args: args}); errors.Is(program, control.ErrCut) {
			return hint(program, "the job goes on: rigmesh exec -it %s %s; rigmesh stop %s ends it", short(id), args[0], short(id))
		}
		if err := client.Stop(ctx, id, stopGrace, false); err != nil {
			return fmt.Errorf("end the job: %w", err)
		}
	}
	if err := settle(ctx, client, v, id, ended, outputs); err != nil {
		return err
	}
	if sat {
		return program
	}
	return outcome(ended, v)
}
