//go:build linux

package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrRunning: another daemon serves this state folder.
var ErrRunning = errors.New("containerd is running already")

// ProgramsFile, in the state folder, holds assets.Programs once the daemon serves.
const ProgramsFile = "programs.json"

// Socket is where the daemon of a state folder answers.
func Socket(state string) string { return filepath.Join(state, "c.sock") }

// ShimSockets is the folder of the sockets of the tasks' shims.
func ShimSockets(state string) string { return filepath.Join(state, "s") }

// Process names a process beyond the reuse of its number.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since the host booted
}

func lockPath(state string) string { return filepath.Join(state, "lock") }

// acquire locks a state folder for this process and writes into it who we are.
// The kernel gives the lock back however we end.
func acquire(state string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(state), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrRunning
	}
	if err == nil {
		err = sign(f)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func sign(f *os.File) error {
	start, err := StartTime(os.Getpid())
	if err != nil {
		return err
	}
	b, err := json.Marshal(Process{PID: os.Getpid(), Start: start})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return err
}

// Running is the daemon that has the state folder now; false when none has.
func Running(state string) (Process, bool, error) {
	f, err := os.Open(lockPath(state))
	if errors.Is(err, os.ErrNotExist) {
		return Process{}, false, nil
	}
	if err != nil {
		return Process{}, false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return Process{}, false, nil // closing f unlocks it
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return Process{}, false, err
	}
	var p Process
	if err := json.NewDecoder(f).Decode(&p); err != nil {
		return Process{}, false, fmt.Errorf("who holds %s: %w", lockPath(state), err)
	}
	if start, err := StartTime(p.PID); err != nil || start != p.Start {
		return Process{}, false, fmt.Errorf("who holds %s: not process %d", lockPath(state), p.PID)
	}
	return p, true, nil
}

// StartTime is when a process began, in clock ticks since the host booted.
func StartTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in brackets may hold spaces and brackets itself.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const startTime = 19 // the 22nd field of the line
	if len(fields) <= startTime {
		return 0, fmt.Errorf("read the start time of process %d: short line", pid)
	}
	return strconv.ParseUint(string(fields[startTime]), 10, 64)
}
