package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
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
	if err := fetchOutputs(ctx, client, v, ended, outputs); err != nil {
		return hint(err, "the node still has them: rigmesh attach -o /path:DIR %s", short(id))
	}
	v.end(ended)
	v.delivered = true
	return outcome(ended, v)
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

// outcome turns the end of a job into this program's.
func outcome(e *leasev1.JobEnded, v *view) error {
	code := int(e.GetExit().GetCode())
	switch e.Outcome {
	case leasev1.Outcome_OUTCOME_EXITED:
		if code == 0 {
			return nil
		}
		return &exitError{code, nil}
	case leasev1.Outcome_OUTCOME_STOPPED:
		if e.Exit == nil || code == 0 {
			code = exitInterrupted
		}
		return &exitError{code, nil}
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

// fetchOutputs brings the folders of the task that were asked for to where they go.
func fetchOutputs(ctx context.Context, client *control.Client, v *view, e *leasev1.JobEnded, outputs []outputDir) error {
	held := map[string]*leasev1.Output{}
	for _, o := range e.Outputs {
		held[o.Path] = o
	}
	for _, out := range outputs {
		o := held[out.path]
		if o == nil {
			if e.Outcome == leasev1.Outcome_OUTCOME_EXITED {
				v.say("the task left no %s", out.path)
			}
			continue
		}
		v.status("writing " + out.dir)
		if err := os.RemoveAll(out.partial()); err != nil {
			return fmt.Errorf("output %s: %w", out.path, err)
		}
		made, err := tree.Unpack(ctx, client, o.Manifest, out.partial(), tree.UnpackOptions{})
		if err != nil {
			return fmt.Errorf("output %s: %w", out.path, err)
		}
		for _, name := range made.Skipped {
			v.say("left out of %s: %s, a link to outside of it", out.dir, job.CleanText(name))
		}
		if err := out.install(); err != nil {
			return err
		}
		v.say("%s is in %s: %s, %s", out.path, out.dir, size(o.TotalBytes), o.Manifest)
	}
	return nil
}
