package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// fetchOutputs brings the folders of the task that were asked for to where they go. lost says
// why there is one that the node does not have and that a task which ran left.
func fetchOutputs(ctx context.Context, client *control.Client, v *view, e *leasev1.JobEnded, outputs []outputDir) (lost, err error) {
	held := map[string]*leasev1.Output{}
	for _, o := range e.Outputs {
		held[o.Path] = o
	}
	for _, out := range outputs {
		o := held[out.path]
		switch {
		case o != nil:
			if err := fetchOutput(ctx, client, v, o, out); err != nil {
				return nil, err
			}
		case e.Exit != nil && e.Exit.Error == "":
			lost = errors.New(sentence(e, "the worker could not collect "+out.path))
		}
	}
	return lost, nil
}

func fetchOutput(ctx context.Context, client *control.Client, v *view, o *leasev1.Output, out outputDir) error {
	v.status("writing " + out.dir)
	partial := out.partial()
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("output %s: %w", out.path, err)
	}
	defer os.RemoveAll(partial) // the node has all of it still
	made, err := tree.Unpack(ctx, client, o.Manifest, partial, tree.UnpackOptions{})
	if err != nil {
		return fmt.Errorf("output %s: %w", out.path, err)
	}
	for _, name := range made.Skipped {
		v.say("left out of %s: %s, a link to outside of it", out.dir, job.CleanText(name))
	}
	if err := out.install(partial); err != nil {
		return err
	}
	v.say("%s is in %s: %s, %s", out.path, out.dir, size(o.TotalBytes), o.Manifest)
	return nil
}
