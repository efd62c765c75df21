package nvml

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

const (
	// silence is how long nothing may come from the helper before no device is
	// lent: it says four times a second that it runs.
	silence = 900 * time.Millisecond
	// patience is how long the silence may last before the helper is replaced.
	patience = 3 * time.Second
	// setup is how long a new helper may take until it watches.
	setup = inventoryTimeout
	// The pause before a helper is replaced doubles from one to the other; a helper
	// that lived for steady had none.
	leastPause = 100 * time.Millisecond
	mostPause  = 30 * time.Second
	steady     = time.Minute
)

// Watch reads the devices once a period and tells w, until ctx ends. A helper
// that ends or hangs is replaced; its devices are out of service meanwhile, within
// a second.
func (c *Client) Watch(ctx context.Context, devices []gpu.Device, w gpu.Watcher) error {
	watch := &watch{client: c, health: newHealth(devices, c.cfg.Period, c.cfg.Now()), watcher: w}
	pause := leastPause
	for ctx.Err() == nil {
		started := time.Now()
		err := watch.once(ctx)
		if ctx.Err() != nil {
			break
		}
		fault := gpu.FaultCrash
		if errors.Is(err, ErrHang) {
			fault = gpu.FaultHang
		}
		watch.tell(watch.health.all(fault, err.Error()))
		if time.Since(started) > steady {
			pause = leastPause
		}
		c.cfg.Log.Warn("the process that reads the GPUs is replaced", "err", err, "pause", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
		watch.bury(ctx)
	}
	return nil
}

// watch is a Watch under way.
type watch struct {
	client  *Client
	health  *health
	watcher gpu.Watcher
	last    *process // nil before the first
}

// bury waits until the last helper has ended: where the driver let one fall asleep the
// next would too, and none of them can be ended.
func (w *watch) bury(ctx context.Context) {
	if w.last == nil {
		return
	}
	select {
	case <-w.last.ended:
		return
	default:
		w.client.cfg.Log.Warn("the process that reads the GPUs cannot be ended: it sleeps in the driver; no GPU is lent until that lets it go, which may take a restart of the machine")
	}
	select {
	case <-w.last.ended:
	case <-ctx.Done():
	}
}

// once watches through one helper, until that fails or ctx ends.
func (w *watch) once(ctx context.Context) error {
	p, err := w.client.start()
	if err != nil {
		return err
	}
	w.last = p
	defer p.end()
	period := uint32(w.client.cfg.Period.Milliseconds())
	if err := p.send(&nvmlv1.Request{Want: &nvmlv1.Request_Watch{Watch: &nvmlv1.WatchRequest{PeriodMs: period}}}); err != nil {
		return err
	}
	ready := time.NewTimer(setup)
	defer ready.Stop()
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	warned := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case reply, ok := <-p.replies:
			if !ok {
				return p.last()
			}
			warned = false
			quiet.Reset(silence)
			if reply.GetDone() != nil {
				ready.Stop()
			}
			if err := w.take(reply); err != nil {
				return err
			}
		case <-quiet.C:
			if warned {
				return fmt.Errorf("%w, nor its helper, for %s", ErrHang, patience)
			}
			warned = true
			quiet.Reset(patience - silence)
			w.tell(w.health.all(gpu.FaultHang, "the driver does not answer"))
		case <-ready.C:
			return fmt.Errorf("%w within %s of the start", ErrHang, setup)
		}
	}
}

// take is one reply.
func (w *watch) take(reply *nvmlv1.Reply) error {
	switch what := reply.What.(type) {
	case *nvmlv1.Reply_Samples:
		samples, changes := w.health.sampled(w.client.cfg.Now(), what.Samples.Samples)
		w.tell(changes)
		if len(samples) > 0 {
			w.watcher.Samples(samples)
		}
	case *nvmlv1.Reply_Alive:
		w.tell(w.health.stuck(what.Alive.Stuck))
	case *nvmlv1.Reply_Xid:
		w.client.cfg.Log.Warn("a GPU reports an error", "gpu", what.Xid.Uuid, "xid", what.Xid.Xid)
		w.tell(w.health.xid(what.Xid.Uuid, what.Xid.Xid))
	case *nvmlv1.Reply_Error:
		return sentinel(what.Error)
	}
	return nil
}

func (w *watch) tell(changes []gpu.Change) {
	for _, c := range changes {
		w.watcher.Changed(c)
	}
}
