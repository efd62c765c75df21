package runtimetest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// What a script does on SIGTERM when it is not an exit code.
const (
	termDies    = -1
	termIgnored = -2
)

// task is one running script.
type task struct {
	spec   runtime.Spec
	stdin  io.Reader     // nil: nothing to read
	dirs   []string      // where each mount lies on the host
	own    string        // holds those that are the task's own
	killed chan struct{} // closed by kill
	warned chan struct{} // ends one sleep
	ended  chan struct{} // closed once exit is set

	mu     sync.Mutex
	change chan struct{} // closed and replaced when anything below changes
	state  runtime.State
	output map[runtime.Stream][]byte
	exit   runtime.Exit
	onTerm int
	onWarn string          // printed when warned; "" is a script that does not handle that
	serves map[string]bool // ports
	dying  bool            // killed is closed
}

func newScript(spec runtime.Spec) *task {
	return &task{
		spec: spec, killed: make(chan struct{}), warned: make(chan struct{}, 1), ended: make(chan struct{}), change: make(chan struct{}),
		state: runtime.Running, output: make(map[runtime.Stream][]byte), onTerm: termDies,
		exit: runtime.Exit{Started: time.Now()},
	}
}

func newTask(spec runtime.Spec) (*task, error) {
	t := newScript(spec)
	if spec.Stdin || spec.Terminal {
		t.stdin = newKeyboard(spec.Terminal)
	}
	for i, m := range spec.Mounts {
		dir := m.Source
		if dir == "" || m.Private {
			var err error
			if dir, err = t.ownFolder(i, m); err != nil {
				t.clear()
				return nil, err
			}
		}
		t.dirs = append(t.dirs, dir)
	}
	return t, nil
}

// ownFolder makes a folder of the task's own, with a copy of the mount's source in it.
func (t *task) ownFolder(i int, m runtime.Mount) (string, error) {
	if t.own == "" {
		var err error
		if t.own, err = os.MkdirTemp("", "rigmesh-memory-*"); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(t.own, strconv.Itoa(i))
	if m.Source == "" {
		return dir, os.Mkdir(dir, 0o755)
	}
	return dir, os.CopyFS(dir, os.DirFS(m.Source))
}

// clear removes the task's own folders.
func (t *task) clear() {
	if t.own != "" {
		_ = os.RemoveAll(t.own)
	}
}

// run executes the script and settles the exit.
func (t *task) run() {
	code, problem := t.execute()
	t.lockThawed() // a task that stands still does not end
	defer t.mu.Unlock()
	if !t.dying {
		t.exit.Code, t.exit.Error = code, problem
	}
	t.exit.Ended, t.state = time.Now(), runtime.Exited
	t.changed()
	close(t.ended)
}

func (t *task) execute() (code int, problem string) {
	for i, instruction := range t.spec.Command {
		verb, rest, _ := strings.Cut(instruction, " ")
		run := verbs[verb]
		if run == nil && i == 0 {
			if fi, err := os.Stat(t.path(instruction)); err == nil && fi.Mode().IsRegular() {
				return 126, instruction + ": not a script"
			}
			return 127, instruction + ": not found"
		}
		if run == nil {
			return 2, "no instruction " + instruction
		}
		if !t.thawed() {
			return 0, ""
		}
		if code, done := run(t, rest); done {
			return code, ""
		}
	}
	return 0, ""
}

// sleep says whether the task still lives afterwards.
func (t *task) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return t.thawed()
	case <-t.warned:
		return t.thawed()
	case <-t.killed:
		return false
	}
}

// thawed blocks while the task is paused and says whether it still lives.
func (t *task) thawed() bool {
	t.lockThawed()
	defer t.mu.Unlock()
	return !t.dying
}

// lockThawed locks the task once it is not paused, or about to die.
func (t *task) lockThawed() {
	for t.mu.Lock(); t.state == runtime.Paused && !t.dying; t.mu.Lock() {
		change := t.change
		t.mu.Unlock()
		<-change
	}
}

func (t *task) print(s runtime.Stream, line string) { t.write(s, []byte(line+"\n")) }

func (t *task) write(s runtime.Stream, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spec.Terminal {
		s = runtime.Stdout
	}
	t.output[s] = append(t.output[s], b...)
	t.changed()
}

func (t *task) setOnWarn(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.onWarn = text
}

// warn is SIGUSR1. As in a shell, what waits does not go on waiting.
func (t *task) warn() {
	t.mu.Lock()
	text := t.onWarn
	t.mu.Unlock()
	if text == "" {
		return
	}
	t.print(runtime.Stdout, text)
	select {
	case t.warned <- struct{}{}:
	default: // a sleep is being ended already
	}
}

func (t *task) setOnTerm(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.onTerm = code
}

// changed wakes whoever waits for a change. The caller holds mu.
func (t *task) changed() {
	close(t.change)
	t.change = make(chan struct{})
}

// term is SIGTERM.
func (t *task) term() {
	t.mu.Lock()
	code := t.onTerm
	t.mu.Unlock()
	switch {
	case code == termDies:
		t.kill(15)
	case code >= 0:
		t.end(runtime.Exit{Code: code})
	}
}

func (t *task) kill(signal int) { t.end(runtime.Exit{Code: 128 + signal, Signal: signal}) }

func (t *task) end(how runtime.Exit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dying || t.state == runtime.Exited {
		return
	}
	t.dying = true
	t.exit.Code, t.exit.Signal, t.exit.Lost = how.Code, how.Signal, how.Lost
	close(t.killed)
	if k, ok := t.stdin.(*keyboard); ok {
		_ = k.Close() // it may be reading
	}
	t.changed()
}

func (t *task) freeze(frozen bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == runtime.Exited {
		return false
	}
	t.state = runtime.Running
	if frozen {
		t.state = runtime.Paused
	}
	t.changed()
	return true
}

func (t *task) status() runtime.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := runtime.Status{ID: t.spec.ID, State: t.state}
	if s.State == runtime.Exited {
		s.Exit = t.exit
	}
	return s
}

// reader reads one output. ctx is that of the Output call.
type reader struct {
	ctx    context.Context
	cancel context.CancelFunc
	task   *task
	stream runtime.Stream
	offset int64
	follow bool
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		r.task.mu.Lock()
		all, ended, change := r.task.output[r.stream], r.task.state == runtime.Exited, r.task.change
		r.task.mu.Unlock()
		if r.offset < int64(len(all)) {
			n := copy(p, all[r.offset:])
			r.offset += int64(n)
			return n, nil
		}
		if ended || !r.follow {
			return 0, io.EOF
		}
		select {
		case <-change:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

// Close ends a Read that blocks.
func (r *reader) Close() error {
	r.cancel()
	return nil
}
