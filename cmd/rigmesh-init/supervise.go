//go:build linux

package main

import (
	"fmt"
	"os"
	"os/signal"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// supervise runs the job of dir to its end. When it returns no other process of
// the task lives and all output is in the files.
func supervise(dir string) record.Exit {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals) // before anything else: PID 1 loses a signal that it has no handler for
	reserveThreads()
	exit := record.Exit{Started: time.Now()}
	j, err := launch(dir)
	if err != nil {
		return failed(exit, err)
	}
	status, told := j.reap(signals)
	_ = unix.Kill(-1, unix.SIGKILL) // the rest of the job: nobody is left to want it
	j.desk.hangUp()
	for _, o := range j.outs {
		<-o.done
	}
	j.desk.end()
	exit.Ended, exit.Told = time.Now(), told
	exit.Code = status.ExitStatus()
	if status.Signaled() {
		exit.Signal = int(status.Signal())
		exit.Code = 128 + exit.Signal
	}
	if r := <-j.refusal; r.Code != 0 {
		exit.Code, exit.Signal, exit.Error = r.Code, 0, r.Error
	}
	exit.OOM = exit.Code != 0 && oomKills() > 0
	return exit
}

// reserveThreads starts every thread that this program can come to need. A job that has
// used up its processes would otherwise end it: Go ends a program that gets no thread.
func reserveThreads() {
	goruntime.GOMAXPROCS(2)                // or a host of many cores would want many more
	const threads = record.InitThreads / 3 // the second stage needs some for a moment, and Go has its own
	var ready, done sync.WaitGroup
	ready.Add(threads)
	for range threads {
		done.Go(func() {
			goruntime.LockOSThread() // one thread for each that waits here
			ready.Done()
			ready.Wait()
			goruntime.UnlockOSThread() // and it stays, idle
		})
	}
	done.Wait()
}

func failed(exit record.Exit, err error) record.Exit {
	exit.Code, exit.Error, exit.Ended = 125, err.Error(), time.Now()
	return exit
}

// running is a job that was started.
type running struct {
	pid     int
	outs    []*output
	desk    *desk          // nil: it reads nothing and has no terminal
	refusal <-chan refused // gives one value when the job has begun or could not
}

// launch starts the second stage, which becomes the job.
func launch(dir string) (*running, error) {
	var job record.Job
	if ok, err := record.Read(dir, record.JobFile, &job); !ok || err != nil {
		return nil, fmt.Errorf("read what to run: %v", err)
	}
	j := &running{}
	files, err := j.connect(dir, job)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	files = append(files, w)
	if err := record.Mark(dir, record.StartedFile); err != nil {
		return nil, err
	}
	attr := syscall.ProcAttr{Env: []string{"GOMAXPROCS=2"}}
	if job.Terminal {
		attr.Sys = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	j.pid, err = syscall.ForkExec("/proc/self/exe", []string{"rigmesh-init", stage2}, &attr)
	for _, f := range files {
		_ = f.Close() // the job's
	}
	if err != nil {
		return nil, fmt.Errorf("start the second stage: %w", err)
	}
	for _, o := range j.outs {
		go o.copy()
	}
	j.desk.open()
	j.refusal = readRefusal(r)
	return j, keepOnlyKill()
}

// connect makes the job's first three files.
func (j *running) connect(dir string, job record.Job) (files []*os.File, err error) {
	if job.Terminal {
		return j.connectTerminal(dir, job)
	}
	in, err := os.Open(os.DevNull)
	if job.Stdin && err == nil {
		j.desk, in, err = newPipe(dir)
	}
	if err != nil {
		return nil, err
	}
	files = append(files, in)
	for _, name := range []string{record.StdoutFile, record.StderrFile} {
		o, w, err := newOutput(dir, name, job.OutputBytes)
		if err != nil {
			return nil, err
		}
		j.outs, files = append(j.outs, o), append(files, w)
	}
	return files, nil
}

// connectTerminal makes them one terminal.
func (j *running) connectTerminal(dir string, job record.Job) ([]*os.File, error) {
	d, slave, err := newTerminal(dir)
	if err != nil {
		return nil, err
	}
	o, err := outputOf(d, dir, record.StdoutFile, job.OutputBytes)
	if err != nil {
		return nil, err
	}
	j.desk, j.outs = d, []*output{o}
	return []*os.File{slave, slave, slave}, nil
}

// reap collects every process that ends until the job itself has, and passes
// signals on to the job meanwhile. told: SIGTERM was one of them. No job can send it: a
// machine that shuts down does, to every process.
func (j *running) reap(signals <-chan os.Signal) (status syscall.WaitStatus, told bool) {
	for s := range signals {
		switch s {
		case syscall.SIGCHLD:
			if status, ended := collect(j.pid); ended {
				return status, told
			}
		case record.KillSignal:
			_ = unix.Kill(-1, unix.SIGKILL)
		case record.WarnSignal:
			if has(j.pid, "SigCgt", record.WarnSignal) { // it would end any other
				_ = unix.Kill(j.pid, record.WarnSignal)
			}
		case syscall.SIGURG, syscall.SIGPIPE: // the Go runtime's own
		default:
			told = told || s == syscall.SIGTERM
			_ = unix.Kill(j.pid, s.(syscall.Signal))
			if s == syscall.SIGTERM && j.desk.terminal() && has(j.pid, "SigIgn", syscall.SIGTERM) {
				_ = unix.Kill(j.pid, unix.SIGHUP) // what shells that somebody types at end at
			}
		}
	}
	panic("signal channel closed")
}

// has says whether a process has a signal in a set: SigCgt are those with a handler of its
// own, SigIgn those that it ignores.
func has(pid int, set string, s syscall.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), "\n"+set+":")
	line, _, _ := strings.Cut(rest, "\n")
	in, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return err == nil && in&(1<<(s-1)) != 0
}

func collect(job int) (syscall.WaitStatus, bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return 0, false
		}
		if pid == job {
			return status, true
		}
	}
}
