// Package keeper keeps the devices of a machine under their owner's rules: it
// watches them, decides with package job/owner, and does what was decided. It lends
// and withholds, lets tasks stand still, takes devices back, sets power limits and
// puts back what it changed, also after it was killed.
package keeper

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/owner"
)

// Source reads and sets the devices.
type Source interface {
	// Watch tells w what the devices do, until ctx ends.
	Watch(ctx context.Context, devices []gpu.Device, w gpu.Watcher) error
	// SetPowerLimit sets how much a device may draw, in milliwatts; 0: its default.
	SetPowerLimit(ctx context.Context, uuid string, milliwatts uint32) error
}

// Leases are those of the worker. A holder of devices is the id of a lease.
type Leases interface {
	// Yield ends a lease after notice.
	Yield(id string, notice time.Duration, why string) error
	// Hold lets a lease's task stand still, or go on.
	Hold(id string, on bool, why string) error
}

// Processes knows which processes of the host are a lease's own; false when nobody does.
type Processes func(ctx context.Context, id string) ([]uint32, bool)

// Config is everything a keeper needs.
type Config struct {
	Devices []gpu.Device
	Books   *gpu.Reservations
	Source  Source
	Leases  Leases           // nil before the worker is there; see Serve
	Own     Processes        // nil: nobody knows, and no process is foreign on a leased device
	Input   func() time.Time // when keyboard or mouse were last used, by Wall; nil: nobody knows
	Rules   owner.Rules
	File    string           // where settings that were changed are remembered
	Word    string           // where the owner's last word is remembered
	Now     func() time.Time // for what leases count in
	Wall    func() time.Time // what the rules go by: the hours of the week
	// Guard is called before the first setting is changed, and what it gives when all
	// are put back: somebody else puts them back should this process be killed. May be nil.
	Guard func() (release func(), err error)
	Log   *slog.Logger
}

// Keeper keeps devices. Run it once.
type Keeper struct {
	Config
	settings *settings
	wake     chan struct{}
	told     map[string]owner.Action // of Run: what was done to leases, by their ids

	mu    sync.Mutex
	wards []*ward // one for each device, in their order
	rules owner.Rules
	word  word
}

// ward is one device as the keeper knows it.
type ward struct {
	device   gpu.Device
	ring     ring
	fault    gpu.Fault
	text     string
	card     owner.Card
	decision owner.Decision
	settled  bool    // decided once
	holder   string  // whose own is
	own      gpu.Own // of the goroutine that decides: its holder's processes
	foreign  []gpu.Process
	since    time.Time // since when the decision is what it is
}

// New makes a keeper. It starts nothing. What an earlier process changed and did
// not put back is put back by Run.
func New(c Config) (*Keeper, error) {
	s, err := openSettings(c.File, c.Now)
	if err != nil {
		return nil, err
	}
	said, err := readWord(c.Word)
	if err != nil {
		return nil, err
	}
	s.guard, s.log = c.Guard, c.Log
	k := &Keeper{Config: c, word: said, settings: s, wake: make(chan struct{}, 1), rules: c.Rules, told: map[string]owner.Action{}}
	for _, d := range c.Devices {
		w := &ward{device: d, fault: d.Fault, text: d.FaultText}
		k.wards = append(k.wards, w)
	}
	k.begin()
	k.decide(context.Background()) // so that nothing is lent on other terms meanwhile
	return k, nil
}

// Serve says whose leases are on the devices, before Run.
func (k *Keeper) Serve(l Leases, own Processes) { k.Leases, k.Own = l, own }

// period is how often decisions are made when nothing is told in between. It is longer than
// the time between two samples, each of which is told.
const period = 1500 * time.Millisecond

// Run keeps the devices until ctx ends, and puts back every setting it changed.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.settings.restore(ctx, k.Source); err != nil {
		k.Log.Warn("settings of an earlier run are not put back yet", "err", err)
	}
	var wg sync.WaitGroup
	watching, stop := context.WithCancel(ctx)
	var failed error
	wg.Go(func() {
		failed = k.Source.Watch(watching, k.Config.Devices, watcher{k})
		stop()
	})
	wg.Go(func() { k.setting(watching) })
	k.begin()
	k.decide(watching)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for watching.Err() == nil {
		select {
		case <-watching.Done():
		case <-tick.C:
			k.decide(watching)
		case <-k.wake:
			tick.Reset(period)
			k.decide(watching)
		}
	}
	stop()
	wg.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTimeout)
	defer cancel()
	return errors.Join(failed, k.settings.restore(end, k.Source))
}

// begin counts silence from now on.
func (k *Keeper) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.wards {
		w.ring.last = k.Now()
	}
}

// watcher takes what the source tells.
type watcher struct{ k *Keeper }

// Samples implements gpu.Watcher.
func (w watcher) Samples(all []gpu.Sample) {
	w.k.mu.Lock()
	for _, s := range all {
		if at := w.k.find(s.UUID); at != nil {
			at.ring.add(s, w.k.Now())
		}
	}
	w.k.mu.Unlock()
	w.k.nudge()
}

// Changed implements gpu.Watcher.
func (w watcher) Changed(c gpu.Change) {
	w.k.mu.Lock()
	if at := w.k.find(c.UUID); at != nil {
		at.fault, at.text = c.Fault, c.Text
	}
	w.k.mu.Unlock()
	w.k.nudge()
}

func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default: // it is about to look
	}
}

// find finds a device. The caller holds mu.
func (k *Keeper) find(uuid string) *ward {
	for _, w := range k.wards {
		if w.device.UUID == uuid {
			return w
		}
	}
	return nil
}

// SetRules changes the rules at once.
func (k *Keeper) SetRules(r owner.Rules) {
	k.mu.Lock()
	k.rules = r
	k.mu.Unlock()
	k.nudge()
}
