//go:build unix

package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// TestMain lets the test binary be the node that EnsureRunning starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "fake-node" {
		os.Exit(fakeNodeProcess(os.Args[2], os.Args[3:]...))
	}
	os.Exit(m.Run())
}

func fakeNodeProcess(dir string, wish ...string) int {
	if len(wish) > 0 && wish[0] == "break" {
		fmt.Fprintln(os.Stderr, "the identity is unreadable")
		return 1
	}
	release, err := Lock(dir)
	var locked *LockedError
	if errors.As(err, &locked) {
		return ExitLocked
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer release()
	log := slog.New(slog.DiscardHandler)
	l, err := Listen(dir, log)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // should its test fail to end it
	f := newFakeNode()
	f.events = []*leasev1.JobEvent{{AtMs: 1}}
	go func() { <-f.shutdown; cancel() }()
	_ = f.server(dir).Serve(ctx, l)
	return 0
}

func starter(dir string, wish ...string) Starter {
	return Starter{Args: append([]string{"fake-node", dir}, wish...)}
}

func TestSeveralCallersAtOnceStartOneNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	const callers = 4
	pids := make([]int32, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			c, err := EnsureRunning(t.Context(), dir, starter(dir))
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
				return
			}
			defer c.Close()
			st, err := c.Status(t.Context())
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
				return
			}
			pids[i] = st.Pid
		})
	}
	wg.Wait()
	for _, pid := range pids {
		if pid != pids[0] || int(pid) == os.Getpid() {
			t.Errorf("pids %v", pids)
			break
		}
	}
	shutDown(t, dir)
}

func shutDown(t *testing.T, dir string) {
	t.Helper()
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Shutdown(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := AwaitGone(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("dial after the end: %v", err)
	}
}

func TestWatcherOfAKilledNodeIsToldThatItIsGone(t *testing.T) {
	dir := t.TempDir()
	c, err := EnsureRunning(t.Context(), dir, starter(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range c.Watch(t.Context(), &controlv1.WatchJobRequest{JobId: "3f2a", Follow: true}) {
		if last = err; err == nil {
			if err := syscall.Kill(int(st.Pid), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(last, ErrLost) {
		t.Errorf("the watch ended with %v", last)
	}
	again, err := EnsureRunning(t.Context(), dir, starter(dir)) // over the socket and the lock it left
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	shutDown(t, dir)
}

func TestNodeThatCannotStartShowsTheEndOfItsLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node.log"), []byte("from another day\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := EnsureRunning(t.Context(), dir, starter(dir, "break"))
	if err == nil || !strings.Contains(err.Error(), "the identity is unreadable") || strings.Contains(err.Error(), "another day") {
		t.Errorf("error: %v", err)
	}
}

func TestSecondOwnerOfADataDirectoryIsToldTheFirstOnesPID(t *testing.T) {
	dir := t.TempDir()
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if _, err := Lock(dir); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("second lock: %v", err)
	}
	release()
	again, err := Lock(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	again()
}

func TestWaitingForANodeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Await(ctx, t.TempDir()); err == nil {
		t.Error("a node answered where there is none")
	}
	dir := t.TempDir()
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := AwaitGone(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("await gone: %v", err)
	}
}
