package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/node/config"
)

func TestInputIsNoticedAndNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "event0")
	if err := os.WriteFile(path, make([]byte, 72), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	i := &input{now: func() time.Time { return at }, wanted: func() bool { return false }}
	if !i.used().IsZero() {
		t.Error("used before anything happened")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	i.read(f)
	if !i.used().Equal(at) {
		t.Errorf("used at %s", i.used())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.run(ctx); err != nil {
		t.Error(err)
	}
}

// atTheMachine is a node whose own clock is so far from the one on the wall, and that runs until
// the test ends: why it lends its device not, and what presses a key.
func atTheMachine(t *testing.T, apart time.Duration) (code func() string, press func()) {
	t.Helper()
	cfg := config.Default(t.TempDir())
	cfg.IdleOnly, cfg.IdleAfter, cfg.YieldAfter = true, 5*time.Minute, 10*time.Second
	n := keeping(t, cfg, func() time.Time { return time.Now().Add(apart) }, "rtx-3090")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.keeper.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	event := filepath.Join(t.TempDir(), "event0")
	if err := os.WriteFile(event, make([]byte, 24), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() string { return n.keeper.Devices()[0].Decision.Code }, func() {
		f, err := os.Open(event)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n.input.read(f)
	}
}

func TestOnesUseOfTheMachineCountsWhicheverClockWasSet(t *testing.T) {
	for _, apart := range []time.Duration{-time.Hour, 0, time.Hour} {
		t.Run(apart.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				code, press := atTheMachine(t, apart)
				for range 60 {
					press()
					time.Sleep(500 * time.Millisecond)
				}
				if got := code(); got != "in-use" {
					t.Errorf("%q while somebody types", got)
				}
				time.Sleep(4 * time.Minute)
				if got := code(); got != "in-use" {
					t.Errorf("%q four minutes later", got)
				}
				time.Sleep(2 * time.Minute)
				if got := code(); got != "" {
					t.Errorf("%q six minutes later", got)
				}
			})
		})
	}
}
