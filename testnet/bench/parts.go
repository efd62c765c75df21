//go:build linux

package main

import (
	"errors"
	"os"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// parts is what jobs took from step to step, after their auctions.
type parts struct {
	ready, start, task, closed, rest samples
}

// add takes a job's steps, as far as they were told.
func (p *parts) add(o outcome) {
	starting, begins := o.reached(leasev1.Phase_PHASE_STARTING)
	running, runs := o.reached(leasev1.Phase_PHASE_RUNNING)
	over, ends := o.reached(leasev1.Phase_PHASE_COLLECTING)
	if begins {
		p.ready.add(starting)
	}
	if begins && runs {
		p.start.add(running - starting)
	}
	if runs && ends {
		p.task.add(over - running)
	}
	if ends {
		p.closed.add(o.known - o.leased - over)
	}
	p.rest.add(o.cleaned - o.known)
}

func (p *parts) rows() (rows []row) {
	for _, step := range []struct {
		what string
		took samples
	}{
		{"… of which, after the auction, the first challenge and whether the image is here", p.ready},
		{"… then the start: disk, users, root folder, container, shim, runc, init", p.start},
		{"… then the task, until its end is known to the worker", p.task},
		{"… then its record, the output's end, and the close that both sides sign", p.closed},
		{"… then what is not cleaned up yet", p.rest},
	} {
		if len(step.took) > 0 {
			rows = append(rows, plain(step.what, step.took, "ms", limit{}))
		}
	}
	return rows
}

// syncs is what it takes to append to a file and have that on the disk.
func syncs(path string) (took samples, err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for range 50 {
		began := time.Now()
		_, err := file.Write(make([]byte, 512))
		if err := errors.Join(err, file.Sync()); err != nil {
			return nil, err
		}
		took.add(time.Since(began))
	}
	return took, nil
}
