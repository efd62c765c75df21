//go:build linux

// Package containerd runs tasks in containerd: the one that this binary carries,
// as a child process of its own that outlives the node. DESIGN.md says why it is
// built the way it is.
package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/assets"
	"github.com/rigmesh/rigmesh/runtime/containerd/egress"
)

// Runtime is a runtime.Runtime over containerd.
type Runtime struct {
	cfg       Config
	paths     paths
	namespace string // in containerd, and the parent of the tasks' cgroups
	log       *slog.Logger
	gate      *egress.Gate   // ways out of the tasks
	ids       keyedLocks     // a task's ID: starting, settling and removing exclude each other
	ends      keyedLocks     // a task's ID: whoever finds it ended settles that, one at a time
	blobs     keyedLocks     // a digest: containerd refuses a second writer
	execs     keyedLocks     // a program beside a job, while its caller waits for it
	letting   sync.WaitGroup // shims of ended tasks that are let go of
	sweeping  sync.RWMutex   // Start and Remove read-lock it: a sweep must not see half a task

	loosen func(*launch) // takes protections off a task; set by tests alone, which show that each of them is needed

	mu       sync.Mutex
	client   *client.Client // nil: look for the daemon again
	programs assets.Programs
}

var _ runtime.Runtime = (*Runtime)(nil)

// New starts nothing; see Open.
func New(cfg Config) (*Runtime, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("containerd runtime: %w", err)
	}
	if err := assets.Check(); err != nil {
		return nil, err
	}
	name := "rigmesh-" + cfg.Prefix
	return &Runtime{
		cfg:       cfg,
		paths:     pathsOf(cfg.DataDir, cfg.Socket),
		namespace: name,
		log:       cfg.Log,
		gate:      egress.New(egress.Config{Name: name, Rate: cfg.EgressBytes, Lookup: cfg.Lookup, Log: cfg.Log}),
	}, nil
}

// Open finds or starts the containerd child and sweeps away what a killed one left
// behind. Tasks that run go on.
func (r *Runtime) Open(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("running tasks needs root: user namespaces, mounts and cgroups")
	}
	// Whoever started us may have said that nobody else gets anything, and systemd's unit does;
	// but users of tasks must reach what is theirs. What is secret is made with a mode that says so.
	unix.Umask(0o022)
	// 0711 on /run: the users of tasks pass through to their root folder, and list nothing.
	if err := errors.Join(os.MkdirAll(claimsDir, 0o711), os.MkdirAll(r.paths.tasks, 0o700)); err != nil {
		return err
	}
	return r.Sweep(ctx)
}

// Close lets go of the daemon. It and the tasks run on.
func (r *Runtime) Close() error {
	r.letting.Wait()
	r.gate.Forget()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return nil
	}
	c := r.client
	r.client = nil
	return c.Close()
}

// maxAttempts bounds how often one call lives through the death of the daemon.
const maxAttempts = 5

// do calls f with a client of a daemon that serves, and again when the daemon died
// meanwhile: f must bear being called again.
func (r *Runtime) do(ctx context.Context, f func(context.Context, *client.Client) error) error {
	for attempt := 1; ; attempt++ {
		c, err := r.connect(ctx)
		if err != nil {
			return err
		}
		err = f(namespaces.WithNamespace(ctx, r.namespace), c)
		if err == nil || !lost(ctx, err) || attempt == maxAttempts {
			return err
		}
		r.log.Warn("containerd went away, starting it again", "err", err)
		r.drop(c)
		if err := pause(ctx, time.Duration(attempt-1)*50*time.Millisecond); err != nil {
			return err
		}
	}
}

// lost says whether err means that the daemon, or our connection to it, is gone.
// A connection that another call dropped ends in "canceled" without our context being so.
func lost(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (errdefs.IsUnavailable(err) || errdefs.IsCanceled(err))
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// connect gives the client that works, starting the daemon when there is none.
func (r *Runtime) connect(ctx context.Context) (*client.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	c, programs, err := r.daemonOf(ctx)
	if err != nil {
		return nil, err
	}
	r.client, r.programs = c, programs
	return c, nil
}

// programsNow are those of the daemon that served last.
func (r *Runtime) programsNow() assets.Programs {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.programs
}

func (r *Runtime) drop(c *client.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == c {
		r.client = nil
		_ = c.Close()
	}
}

// keyedLocks is a lock per name. The zero value is ready.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	sync.RWMutex
	users int
}

// lock locks a name and gives what unlocks it.
func (k *keyedLocks) lock(name string) func() {
	l := k.join(name)
	l.Lock()
	return func() {
		l.Unlock()
		k.leave(name, l)
	}
}

// share is lock beside others that share the name.
func (k *keyedLocks) share(name string) func() {
	l := k.join(name)
	l.RLock()
	return func() {
		l.RUnlock()
		k.leave(name, l)
	}
}

// join is the lock of a name for one user more, leave for one less.
func (k *keyedLocks) join(name string) *keyedLock {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.locks == nil {
		k.locks = make(map[string]*keyedLock)
	}
	l := k.locks[name]
	if l == nil {
		l = &keyedLock{}
		k.locks[name] = l
	}
	l.users++
	return l
}

func (k *keyedLocks) leave(name string, l *keyedLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.locks, name)
	}
}

// tryLock is lock for a name that nobody holds or waits for.
func (k *keyedLocks) tryLock(name string) (unlock func(), ok bool) {
	if k.locked(name) {
		return nil, false // lock may still have to wait, for somebody who came this moment
	}
	return k.lock(name), true
}

// locked says whether somebody holds the lock of a name.
func (k *keyedLocks) locked(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.locks[name] != nil
}
