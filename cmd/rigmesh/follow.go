package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// stopGrace is what a task gets between Ctrl-C and being killed.
const stopGrace = 10 * time.Second

// look shows a job until it ends, in front of whoever sits there; nil: nobody does.
func look(ctx context.Context, client *control.Client, k console, v *view, id string, s *sitting, outputs []outputDir) error {
	if s != nil && s.terminal {
		return s.follow(ctx, client, v, id, outputs)
	}
	return follow(ctx, client, k, v, id, s, outputs)
}

// follow shows a job until it ends, brings its outputs here, and returns its exit code as
// an error. Leaving in any other way leaves the job running. in gives it standard input; nil: none.
func follow(ctx context.Context, client *control.Client, k console, v *view, id string, in *sitting, outputs []outputDir) error {
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	go stopOnInterrupt(watching, client, v, id, interrupts)

	out := newOutput(k)
	var ended *leasev1.JobEnded
	for item, err := range client.Watch(watching, &controlv1.WatchJobRequest{JobId: id, Follow: true}) {
		if err != nil {
			v.clear()
			if errors.Is(err, control.ErrNotFound) || errors.Is(err, control.ErrAmbiguous) {
				return hint(err, "rigmesh ps --all lists the jobs")
			}
			return hint(err, "the job goes on without this terminal: rigmesh attach %s", short(id))
		}
		if c := item.GetChunk(); c != nil {
			v.clear()
			if err := out.write(c); err != nil {
				return fmt.Errorf("write the task's output: %w", err)
			}
			continue
		}
		v.event(item.GetEvent())
		if item.GetEvent().GetLease() != nil {
			v.explained()
		}
		if in != nil && item.GetEvent().GetProgress().GetPhase() == leasev1.Phase_PHASE_RUNNING {
			go in.give(watching, client, v, id)
			in = nil // once: what was read is gone
		}
		ended = item.GetEvent().GetEnded()
	}
	return settle(ctx, client, v, id, ended, outputs)
}

// settle fetches the outputs of a job that has ended and tells the end, and returns its exit
// code as an error; nil is no end.
func settle(ctx context.Context, client *control.Client, v *view, id string, ended *leasev1.JobEnded, outputs []outputDir) error {
	v.clear()
	if ended == nil {
		return hint(errors.New("the node told no end of the job"), "rigmesh attach %s looks again", short(id))
	}
	lost, err := fetchOutputs(ctx, client, v, ended, outputs)
	if err != nil {
		return hint(err, "the node still has them: rigmesh attach -o /path:DIR %s", short(id))
	}
	v.end(ended)
	v.delivered = lost == nil
	return outcome(ended, v, lost)
}

// stopOnInterrupt asks the task to stop at the first interrupt and gives the lease up at the
// second. It never ends this program: the job's end does.
func stopOnInterrupt(ctx context.Context, client *control.Client, v *view, id string, interrupts <-chan os.Signal) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-interrupts:
		}
		if n == 0 {
			v.say("asked the task to stop; again to give the lease up")
		} else {
			v.say("giving the lease up")
		}
		if err := client.Stop(ctx, id, stopGrace, n > 0); err != nil && ctx.Err() == nil {
			v.say("stop: %v", err)
		}
	}
}

// outcome turns the end of a job into this program's. lost is what the worker could not give of
// the outputs: a failure of ours, unless the task has one of its own.
func outcome(e *leasev1.JobEnded, v *view, lost error) error {
	code := int(e.GetExit().GetCode())
	switch e.Outcome {
	case leasev1.Outcome_OUTCOME_EXITED:
		if code == 0 && lost == nil {
			return nil
		}
		return &exitError{cmp.Or(code, exitOurs), lost}
	case leasev1.Outcome_OUTCOME_STOPPED:
		return &exitError{cmp.Or(code, exitInterrupted), lost}
	case leasev1.Outcome_OUTCOME_TIMEOUT:
		return &exitError{exitTimeout, errors.New(sentence(e, "the job ran out of time"))}
	case leasev1.Outcome_OUTCOME_NO_BID:
		return &exitError{exitOurs, v.noBid(e)}
	case leasev1.Outcome_OUTCOME_LAPSED:
		return &exitError{exitOurs, errors.New(sentence(e, "the worker went silent"))}
	default:
		return &exitError{exitOurs, errors.New(sentence(e, "the job failed"))}
	}
}

func sentence(e *leasev1.JobEnded, otherwise string) string {
	if s := job.CleanText(e.Sentence); s != "" {
		return s
	}
	return otherwise
}
