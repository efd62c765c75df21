//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

const (
	coldDir    = "cold"
	coldRounds = 6
)

// cold measures a job of somebody who runs nothing yet: `rigmesh run` starts the
// requester, which finds the worker, and ends it again between rounds.
func (b *bench) cold(ctx context.Context) (section, error) {
	progress("rigmesh run without a background requester, %d times each way", coldRounds)
	var known, found samples
	for round := range coldRounds + 1 {
		for _, way := range []struct {
			into *samples
			args []string
		}{
			{&known, []string{"--worker", b.pair.address}},
			{&found, []string{"--bootstrap", b.pair.address}},
		} {
			took, err := b.coldRun(ctx, way.args)
			if err != nil {
				return section{}, err
			}
			if round > 0 { // the first makes an identity and takes the image in
				way.into.add(took)
			}
		}
	}
	return section{
		title: "One job, nothing running on the requester's side",
		notes: "The time is the whole of the command, from its start to its exit, with a requester started, and the image known to it from before.",
		rows: []row{
			plain("`rigmesh run --worker ADDRESS`", known, "ms", atMost(400, "≤ 400 ms")),
			plain("`rigmesh run --bootstrap ADDRESS`: the worker is found", found, "ms", limit{}),
		},
	}, nil
}

func (b *bench) coldRun(ctx context.Context, args []string) (time.Duration, error) {
	args = append([]string{"run", "--data", coldDir, "--simulated", "--quiet"}, args...)
	took, err := command(b.lab.Command(ctx, append(args, "oci-archive:busybox.tar", "true")...))
	if err != nil {
		return 0, err
	}
	_, err = command(b.lab.Command(ctx, "down", "--data", coldDir))
	return took, err
}

// command runs one command and says how long it took.
func command(cmd *exec.Cmd) (time.Duration, error) {
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%v: %w: %s", cmd.Args[1:], err, out)
	}
	return time.Since(began), nil
}
