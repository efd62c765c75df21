package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// inputDevices are the keyboards and mice of this machine.
const inputDevices = "/dev/input/by-path/*-event-*"

// lookAgainForInput is how often devices that were plugged in since are looked for.
const lookAgainForInput = 30 * time.Second

// input knows when keyboard or mouse of this machine were last used, while its owner
// wants that to count. What was typed is read only to be thrown away: that something
// was is all that is remembered.
type input struct {
	last   atomic.Pointer[time.Time] // nil: never
	now    func() time.Time          // the clock that the owner's rules go by
	wanted func() bool
	log    *slog.Logger
}

// used is when they were last used; zero when that is not known.
func (i *input) used() time.Time {
	if at := i.last.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// run reads every input device there is, and looks for new ones now and then.
func (i *input) run(ctx context.Context) error {
	tick := time.NewTicker(lookAgainForInput)
	defer tick.Stop()
	open, gone := map[string]*os.File{}, make(chan string)
	for {
		if i.wanted() {
			i.open(ctx, open, gone)
		} else {
			closeAll(open)
		}
		select {
		case <-ctx.Done():
			closeAll(open)
			return nil
		case path := <-gone:
			if f := open[path]; f != nil {
				_ = f.Close()
				delete(open, path)
			}
		case <-tick.C:
		}
	}
}

// open begins to read the devices that are not read yet.
func (i *input) open(ctx context.Context, open map[string]*os.File, gone chan<- string) {
	found, _ := filepath.Glob(inputDevices) // only a bad pattern is an error
	for _, path := range found {
		if open[path] != nil {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			i.log.Debug("watch for use of this machine", "err", err)
			continue
		}
		open[path] = f
		go func() {
			i.read(f)
			select {
			case gone <- path:
			case <-ctx.Done():
			}
		}()
	}
}

// closeAll ends the readers of all devices.
func closeAll(open map[string]*os.File) {
	for path, f := range open {
		_ = f.Close()
		delete(open, path)
	}
}

// read notes each event of one device, until it is unplugged or closed.
func (i *input) read(f *os.File) {
	events := make([]byte, 64*24)
	for {
		n, err := f.Read(events)
		if n > 0 {
			now := i.now() // whole: a clock that is set makes it no older
			i.last.Store(&now)
			clear(events[:n])
		}
		if err != nil && !errors.Is(err, io.ErrShortBuffer) {
			return
		}
	}
}
