package nvml

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
	"google.golang.org/protobuf/encoding/protodelim"
)

// puppet is a helper in this process that does what a test says.
type puppet struct {
	started time.Time
	ended   time.Time
	out     *io.PipeWriter
}

// say is false when nobody listens any more.
func (p *puppet) say(r *nvmlv1.Reply) bool {
	_, err := protodelim.MarshalTo(p.out, r)
	return err == nil
}

func (p *puppet) alive() bool {
	return p.say(&nvmlv1.Reply{What: &nvmlv1.Reply_Alive{Alive: &nvmlv1.Alive{}}})
}

func (p *puppet) sample() bool {
	return p.say(&nvmlv1.Reply{What: &nvmlv1.Reply_Samples{Samples: &nvmlv1.Samples{Samples: []*nvmlv1.Sample{{Uuid: "GPU-a"}}}}})
}

// theatre is a client whose helpers are puppets.
func theatre(play func(*puppet)) (*Client, *[]*puppet) {
	return stage(play, func(p *puppet) { _ = p.out.Close() })
}

// stage is a theatre where die is what a puppet does that is killed.
func stage(play, die func(*puppet)) (*Client, *[]*puppet) {
	var all []*puppet
	c := New(Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	c.start = func() (*process, error) {
		in, stdin := io.Pipe()
		stdout, out := io.Pipe()
		p := &puppet{started: time.Now(), out: out}
		all = append(all, p)
		proc := newProcess(stdin, stdout)
		proc.kill = func() { p.ended = time.Now(); die(p) }
		gone := make(chan struct{})
		proc.wait = func() error { <-gone; return errors.New("exit status 139") }
		go func() {
			defer close(gone)
			var req nvmlv1.Request
			if protodelim.UnmarshalFrom(bufio.NewReader(in), &req) == nil {
				play(p)
			}
		}()
		return proc, nil
	}
	return c, &all
}

// log is a Watcher that keeps when which fault came.
type log struct {
	begun  time.Time
	faults []gpu.Fault
	when   []time.Duration
}

func (l *log) Samples([]gpu.Sample) {}

func (l *log) Changed(c gpu.Change) {
	l.faults = append(l.faults, c.Fault)
	l.when = append(l.when, time.Since(l.begun))
}

func watchFor(c *Client, d time.Duration) *log {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	l := &log{begun: time.Now()}
	_ = c.Watch(ctx, []gpu.Device{{UUID: "GPU-a"}}, l)
	return l
}

func TestASilentHelperIsOutOfServiceInASecondAndReplacedInThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := theatre(func(p *puppet) { p.alive() })
		l := watchFor(c, 4*time.Second)
		if !slices.Equal(l.faults, []gpu.Fault{gpu.FaultHang}) || l.when[0] > time.Second {
			t.Errorf("faults %v at %v", l.faults, l.when)
		}
		if len(*all) < 2 || (*all)[0].ended.Sub(l.begun) != patience {
			t.Errorf("%d helpers, the first ended after %s", len(*all), (*all)[0].ended.Sub(l.begun))
		}
	})
}

func TestAHelperThatComesBackInTimeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := theatre(func(p *puppet) {
			p.say(&nvmlv1.Reply{What: &nvmlv1.Reply_Done{Done: &nvmlv1.Done{}}})
			p.sample()
			time.Sleep(2 * time.Second)
			for p.sample() {
				time.Sleep(200 * time.Millisecond)
			}
		})
		l := watchFor(c, 20*time.Second)
		if len(*all) != 1 || !slices.Equal(l.faults, []gpu.Fault{gpu.FaultHang, gpu.FaultNone}) || l.when[1] != 2*time.Second {
			t.Errorf("%d helpers, faults %v at %v", len(*all), l.faults, l.when)
		}
	})
}

func TestAHelperThatLivesAndNeverWatchesIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := theatre(func(p *puppet) {
			for p.alive() {
				time.Sleep(250 * time.Millisecond)
			}
		})
		watchFor(c, setup+time.Second)
		if len(*all) != 2 {
			t.Errorf("%d helpers", len(*all))
		}
	})
}

func TestHelpersThatCrashAreReplacedEverMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := theatre(func(p *puppet) { _ = p.out.Close() })
		watchFor(c, 10*time.Minute)
		if n := len(*all); n < 10 || n > 40 {
			t.Errorf("%d helpers in ten minutes", n)
		}
		last := len(*all) - 1
		if gap := (*all)[last].started.Sub((*all)[last-1].started); gap != mostPause {
			t.Errorf("%s between the last two", gap)
		}
	})
}

func TestADeviceThatIsNoLongerSampledIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := theatre(func(p *puppet) {
			p.say(&nvmlv1.Reply{What: &nvmlv1.Reply_Done{Done: &nvmlv1.Done{}}})
			p.sample()
			for p.say(&nvmlv1.Reply{What: &nvmlv1.Reply_Samples{Samples: &nvmlv1.Samples{}}}) {
				time.Sleep(250 * time.Millisecond)
			}
		})
		if l := watchFor(c, 20*time.Second); !slices.Equal(l.faults, []gpu.Fault{gpu.FaultLost}) {
			t.Errorf("faults %v at %v", l.faults, l.when)
		}
	})
}

func TestAnAnswerThatDoesNotComeIsAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := theatre(func(p *puppet) {
			for p.alive() {
				time.Sleep(250 * time.Millisecond)
			}
		})
		begun := time.Now()
		if err := c.SetPowerLimit(t.Context(), "GPU-a", 100_000); !errors.Is(err, ErrHang) {
			t.Errorf("got %v", err)
		}
		if lived := (*all)[0].ended.Sub(begun); lived != setTimeout {
			t.Errorf("the helper was ended after %s", lived)
		}
	})
}

// haunted is a theatre where a puppet that is killed goes on until the test lays it to rest, as a
// process does that sleeps in the kernel's driver.
func haunted(t *testing.T) (c *Client, all *[]*puppet, rest func()) {
	t.Helper()
	asleep := make(chan struct{})
	c, all = stage(func(p *puppet) { <-asleep; _ = p.out.Close() }, func(*puppet) {})
	return c, all, func() { close(asleep); synctest.Wait() }
}

func TestAHelperThatCannotBeKilledKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, rest := haunted(t)
		begun := time.Now()
		if err := c.SetPowerLimit(t.Context(), "GPU-a", 100_000); !errors.Is(err, ErrHang) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took != setTimeout+dying {
			t.Errorf("the answer took %s", took)
		}
		rest()
	})
}

func TestAHelperThatCannotBeKilledIsReplacedWhenItHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all, rest := haunted(t)
		ctx, cancel := context.WithCancel(t.Context())
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			_ = c.Watch(ctx, []gpu.Device{{UUID: "GPU-a"}}, &log{begun: time.Now()})
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(*all) != 1 {
			t.Errorf("%d helpers sleep in the driver", len(*all))
		}
		rest()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(*all) < 2 {
			t.Error("the helper is not replaced though it has ended")
		}
		cancel()
		<-returned
	})
}

func TestAWatchEndsWhenItIsToldThoughItsHelperCannotBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, late := range []time.Duration{time.Second, time.Minute} {
			c, _, rest := haunted(t)
			ctx, cancel := context.WithCancel(t.Context())
			returned := make(chan time.Time, 1)
			go func() {
				_ = c.Watch(ctx, []gpu.Device{{UUID: "GPU-a"}}, &log{begun: time.Now()})
				returned <- time.Now()
			}()
			time.Sleep(late)
			told := time.Now()
			cancel()
			if took := (<-returned).Sub(told); took > dying {
				t.Errorf("%s after it was told", took)
			}
			rest()
		}
	})
}
