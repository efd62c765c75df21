package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rigmesh/rigmesh/runtime"
)

// cards are devices that have to be made ready, and what tasks got of them.
type cards struct {
	fail     error
	prepared [][]string // UUIDs of each call
	started  []runtime.Devices
}

func (c *cards) Prepare(_ context.Context, uuids []string) (runtime.Devices, error) {
	c.prepared = append(c.prepared, uuids)
	if c.fail != nil {
		return runtime.Devices{}, c.fail
	}
	return runtime.Devices{Nodes: []runtime.File{{Source: "/dev/nvidia0", Target: "/dev/nvidia0"}}, Env: uuids}, nil
}

// witness is a runtime that keeps what devices tasks were started with.
type witness struct {
	runtime.Runtime
	*cards
}

func (w witness) Start(ctx context.Context, spec runtime.Spec) error {
	w.started = append(w.started, spec.Devices)
	return w.Runtime.Start(ctx, spec)
}

func useCards(b *bench, fail error) *cards {
	c := &cards{fail: fail}
	b.cards = c
	b.wrap = func(r runtime.Runtime) runtime.Runtime { return witness{r, c} }
	return c
}

func TestATaskGetsTheDevicesThatWereMadeReadyForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := useCards(b, nil)
		b.start()
		defer b.stop()
		s, _ := running(b, nil, "exit 0")
		<-s.Done()
		if len(c.prepared) != 1 || len(c.prepared[0]) != 1 {
			t.Fatalf("prepared %v: want the one device of the lease, once", c.prepared)
		}
		if len(c.started) != 1 || !slices.Equal(c.started[0].Env, c.prepared[0]) || len(c.started[0].Nodes) != 1 {
			t.Errorf("started with %v", c.started)
		}
	})
}

func TestNoTaskStartsOnADeviceThatCouldNotBeCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := useCards(b, errors.New("memory not cleared"))
		b.start()
		defer b.stop()
		s, id := running(b, nil, "exit 0")
		_, ended := b.follow(id)
		if ended.GetExit().GetCode() != 125 || !strings.Contains(ended.GetExit().GetError(), "memory not cleared") {
			t.Errorf("ended with %v", ended)
		}
		<-s.Done()
		if len(c.started) != 0 {
			t.Errorf("started with %v", c.started)
		}
	})
}
