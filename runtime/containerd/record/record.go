//go:build linux

// Package record is what the runtime and the init of a task tell each other
// through files in one folder: what to run, that it began, how it ended, and
// the two outputs. On the host the folder belongs to root; in the task it belongs
// to the init's own user, whom the job can neither be nor signal.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Places in the task's file system.
const (
	InitPath = "/.rigmesh/init" // the init itself, read-only
	DirPath  = "/.rigmesh/rec"  // the folder, mode 0700
)

// Names in the folder.
const (
	JobFile     = "job.json"
	StartedFile = "started"
	ExitFile    = "exit.json"
	StdoutFile  = "stdout"
	StderrFile  = "stderr"
	InputSocket = "input" // of a job that reads, or has a terminal
)

// InitID is the user and group of the init inside the task. No job may have it.
const InitID = 65535

// InitThreads is how many threads the init and its second stage may have. They count as
// processes of the task, on top of what the job is allowed.
const InitThreads = 24

// KillSignal tells the init to kill every process of the job at once and to
// record that. Killing the init instead would lose the record and the last output.
const KillSignal = syscall.Signal(64)

// WarnSignal tells the init to pass SIGUSR1 to the job, if the job handles that.
const WarnSignal = syscall.SIGUSR1

// Job is the program that the init runs.
type Job struct {
	Args        []string `json:"args"` // at least one; looked up in PATH of Env
	Env         []string `json:"env"`
	UID         uint32   `json:"uid"` // below InitID
	GID         uint32   `json:"gid"`
	Groups      []uint32 `json:"groups,omitempty"`
	Own         bool     `json:"own,omitempty"`     // Args are the init's own program's
	Workdir     string   `json:"workdir,omitempty"` // empty: where its parent is
	OutputBytes int64    `json:"outputBytes"`       // of each output; what is over it is dropped
	Stdin       bool     `json:"stdin,omitempty"`   // it reads what comes by InputSocket
	Terminal    bool     `json:"terminal,omitempty"`
}

// Exit is how the job ended, as its init saw it.
type Exit struct {
	Code    int       `json:"code"` // 0–255; 128+n when signal n ended it
	Signal  int       `json:"signal,omitempty"`
	OOM     bool      `json:"oom,omitempty"`  // the kernel killed a process of the task for want of memory
	Told    bool      `json:"told,omitempty"` // something outside of the task asked it to end before it did
	Error   string    `json:"error,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// Write makes v durable as dir/name: a reader sees all of it or nothing.
func Write(dir, name string, v any) error {
	if err := put(dir, name, v, (*os.File).Sync); err != nil {
		return err
	}
	return syncDir(dir)
}

// Put is Write for what nobody reads once the machine was down: it may be gone then, or empty.
func Put(dir, name string, v any) error {
	return put(dir, name, v, func(*os.File) error { return nil })
}

func put(dir, name string, v any, sync func(*os.File) error) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, sync(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// Read fills v from dir/name. A missing file is false without an error.
func Read(dir, name string, v any) (bool, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("decode %s: %w", name, err)
	}
	return true, nil
}

// Mark makes the empty file dir/name durable.
func Mark(dir, name string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(dir)
}

// Marked says whether dir/name is there.
func Marked(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
