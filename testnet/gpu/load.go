//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// work starts the load on the checked card.
func (c *check) work(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer, error) {
	cmd := exec.CommandContext(ctx, c.load, args...)
	cmd.Env = append(os.Environ(), "CUDA_VISIBLE_DEVICES="+c.device.UUID)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out, cmd.Start()
}

// works runs the load to its end and gives what it printed, by the first word of each line.
func (c *check) works(ctx context.Context, args ...string) (map[string]string, error) {
	cmd, out, err := c.work(ctx, args...)
	if err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("load %s: %w: %s", strings.Join(args, " "), err, out)
	}
	said := map[string]string{}
	for line := range strings.Lines(out.String()) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[word] = rest
	}
	return said, nil
}

// tape keeps what a watch tells of the checked card.
type tape struct {
	mu      sync.Mutex
	samples []gpu.Sample
	changes []gpu.Change
	news    chan struct{}
}

func newTape() *tape { return &tape{news: make(chan struct{}, 1)} }

// Samples implements gpu.Watcher.
func (t *tape) Samples(all []gpu.Sample) { t.keep(func() { t.samples = append(t.samples, all...) }) }

// Changed implements gpu.Watcher.
func (t *tape) Changed(c gpu.Change) { t.keep(func() { t.changes = append(t.changes, c) }) }

func (t *tape) keep(add func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	add()
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// until waits until the tape fulfils ok.
func (t *tape) until(ctx context.Context, ok func() bool) error {
	for {
		t.mu.Lock()
		yes := ok()
		t.mu.Unlock()
		if yes {
			return nil
		}
		select {
		case <-t.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// record watches the checked card for as long as f runs.
func (c *check) record(ctx context.Context, f func(*tape) error) (*tape, error) {
	t := newTape()
	watching, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.client.Watch(watching, []gpu.Device{c.device}, t) }()
	err := f(t)
	stop()
	<-ended
	return t, err
}

// burnFor is how long the card is worked where its readings are looked at; the
// first samples are left out, for the card is still speeding up.
const (
	burnFor = 15
	ramp    = 4
)

func (c *check) samples(ctx context.Context) (string, error) {
	t, err := c.record(ctx, func(*tape) error {
		said, err := c.works(ctx, "burn", strconv.Itoa(burnFor))
		if err == nil && said["results"] != "right" {
			err = fmt.Errorf("the load said %v", said)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	busy, hottest := 0, int16(0)
	for _, s := range t.samples {
		if s.Utilisation >= 80 && len(s.Compute()) > 0 {
			busy++
		}
		hottest = max(hottest, s.Temperature)
	}
	if len(t.samples) < burnFor-3 || busy < burnFor-ramp-2 {
		return "", fmt.Errorf("%d samples in %d s of load, %d of them busy with a process", len(t.samples), burnFor, busy)
	}
	return fmt.Sprintf("%d samples, %d busy, up to %d °C, lacking %b", len(t.samples), busy, hottest, t.samples[len(t.samples)-1].Lacks), nil
}

func (c *check) energy(ctx context.Context) (string, error) {
	var theirs []float64
	t, err := c.record(ctx, func(t *tape) error {
		cmd, _, err := c.work(ctx, "burn", strconv.Itoa(burnFor))
		if err != nil {
			return err
		}
		for n := ramp; n < burnFor-1; n += 2 {
			if err := t.until(ctx, func() bool { return len(t.samples) >= n }); err != nil {
				return err
			}
			out, err := smi(ctx, "-i", c.device.UUID, "--query-gpu=power.draw", "--format=csv,noheader,nounits")
			if err != nil {
				return err
			}
			w, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			if err != nil {
				return fmt.Errorf("%w: nvidia-smi gives no power: %s", errNotPossible, bytes.TrimSpace(out))
			}
			theirs = append(theirs, w)
		}
		return cmd.Wait()
	})
	if err != nil {
		return "", err
	}
	ours := t.samples[ramp:max(ramp+1, burnFor-1)]
	first, last := ours[0], ours[len(ours)-1]
	mean := meanPower(ours)
	seen := fmt.Sprintf("%.1f W, nvidia-smi %.1f W", mean, average(theirs))
	if far(mean, average(theirs)) {
		return "", fmt.Errorf("power differs: %s", seen)
	}
	if !first.Has(gpu.ReadEnergy) {
		return seen + "; the card counts no energy", nil
	}
	counted := float64(last.Energy-first.Energy) / 1000 / last.At.Sub(first.At).Seconds()
	seen += fmt.Sprintf(", by the energy counter %.1f W", counted)
	if far(mean, counted) {
		return "", fmt.Errorf("energy differs: %s", seen)
	}
	return seen, nil
}

func meanPower(samples []gpu.Sample) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, float64(s.Power)/1000)
	}
	return average(all)
}

func average(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(max(1, len(all)))
}

// far says that two powers differ by more than readings at other moments do.
func far(a, b float64) bool { return math.Abs(a-b) > max(5, 0.15*max(a, b)) }

// settle is how long a change of a helper may take to be seen and mended.
const settle = 30 * time.Second
