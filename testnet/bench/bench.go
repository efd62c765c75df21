//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/runtime/ociarchive"
	"github.com/rigmesh/rigmesh/testnet/lab"
)

// bench is one run: a floor, and a worker and a requester beside it.
type bench struct {
	plan
	lab     *lab.Lab
	binary  string
	load    string // of the machine, before the bench began
	archive *ociarchive.Archive
	floor   *floor
	pair    *pair
	before  look          // what the nodes held before the first job
	idleCPU time.Duration // what they used of it in idleFor
}

// all measures section by section.
func (b *bench) all(ctx context.Context) (sections []section, err error) {
	defer func() {
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyWithin)
		defer cancel()
		err = errors.Join(err, b.close(tidy))
	}()
	progress("starting a floor, a worker and a requester")
	if b.floor, err = openFloor(ctx, b.binary, b.lab.Path(floorDir), b.archive); err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	if b.pair, err = startPair(ctx, b.lab, b.archive); err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) (section, error)
	}{
		{"file", b.program}, {"idle", b.idle}, {"job", b.oneJob}, {"cold", b.cold}, {"many", b.many},
		{"start", b.starting}, {"bulk", b.bulk}, {"gossip", b.gossiped}, {"beats", b.heartbeats},
	} {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), part.name) {
			continue
		}
		s, err := part.measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		sections = append(sections, s)
	}
	return sections, nil
}

func (b *bench) close(ctx context.Context) error {
	var errs []error
	if b.pair != nil {
		errs = append(errs, b.pair.stop(ctx))
	}
	return errors.Join(append(errs, b.floor.close(ctx))...)
}
