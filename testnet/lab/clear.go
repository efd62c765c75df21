//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Clear ends and removes by force all that Remains finds, and the lab's folder.
func (l *Lab) Clear() error { return clearFolder(l.Dir) }

// clearAbandoned clears the labs whose own process did not live to do it.
func clearAbandoned() error {
	labs, err := filepath.Glob(filepath.Join("/tmp", prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range labs {
		owner, err := os.ReadFile(filepath.Join(dir, "owner.pid"))
		if err != nil {
			continue // being made at this moment
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(owner)))
		if err != nil || alive(pid) {
			continue
		}
		errs = append(errs, clearFolder(dir))
	}
	return errors.Join(errs...)
}

// Unplug does to a machine what a power cut does to it: all of the lab's processes but the spared ones
// end, and what they had of the kernel is gone: mounts, control groups, what lies on /run. Files stay
// as they are.
func (l *Lab) Unplug(spared ...int) error {
	if err := killAll(l.Dir, spared...); err != nil {
		return err
	}
	return release(l.Dir)
}

// Freeze stops all of the lab's processes but the spared ones, so that nothing of theirs is written
// any more; only Unplug may follow.
func (l *Lab) Freeze(spared ...int) {
	for range 2 { // what the first round did not see yet was started before its parent stood still
		for _, p := range processesOf(l.Dir) {
			if !slices.Contains(spared, p.PID) {
				_ = syscall.Kill(p.PID, syscall.SIGSTOP) // already gone is as good
			}
		}
	}
}

// clearFolder removes what is named after things in dir first, and dir last: a
// lab that could not be cleared is tried again by the next.
func clearFolder(dir string) error {
	if err := killAll(dir); err != nil {
		return err
	}
	if err := release(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// release takes from the kernel what dead processes of dir had of it.
func release(dir string) error {
	for _, point := range slices.Backward(mountsOf(dir)) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	for _, path := range slices.Backward(cgroupsOf(dir)) {
		if err := syscall.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove cgroup %s: %w", path, err)
		}
	}
	if err := clearNamespaces(dir); err != nil {
		return err
	}
	if err := clearClaims(dir); err != nil {
		return err
	}
	for _, state := range statesOf(dir) {
		if err := os.RemoveAll(state); err != nil {
			return err
		}
	}
	return nil
}

func clearNamespaces(dir string) error {
	names, err := namespacesOf(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join("/run/netns", name)
		_ = unix.Unmount(path, unix.MNT_DETACH) // not mounted is fine: then it is a file
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// clearClaims gives back the ranges of users that tasks in dir drew from: each is
// marked as taken by a link to its task.
func clearClaims(dir string) error {
	claims, err := filepath.Glob("/run/rigmesh/users/*")
	if err != nil {
		return err
	}
	for _, claim := range claims {
		if task, err := os.Readlink(claim); err == nil && strings.HasPrefix(task, dir+"/") {
			if err := os.Remove(claim); err != nil {
				return err
			}
		}
	}
	return nil
}

// KillAll kills the lab's processes that have a word on their command line, and
// waits until they are gone.
func (l *Lab) KillAll(word string) error {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for range 250 {
		found := slices.DeleteFunc(processesOf(l.Dir), func(p Left) bool { return !slices.Contains(strings.Fields(p.Command), word) })
		if len(found) == 0 {
			return nil
		}
		for _, p := range found {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // already gone is what we want
		}
		<-pause.C
	}
	return fmt.Errorf("processes of %s cannot be killed", word)
}

// thaw lets the lab's tasks go on that stand still: with version 1 of control groups such a process
// takes no signal, not even the last one.
func thaw(dir string) {
	for _, path := range cgroupsOf(dir) {
		if file, err := os.OpenFile(filepath.Join(path, "freezer.state"), os.O_WRONLY, 0); err == nil {
			_, _ = file.WriteString("THAWED") // a group that is gone has nobody in it
			_ = file.Close()
		}
	}
}

// killAll kills until nothing is left but the spared: a shim may start what we have not seen yet.
func killAll(dir string, spared ...int) error {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	thaw(dir)
	for range 250 {
		left := slices.DeleteFunc(processesOf(dir), func(p Left) bool { return slices.Contains(spared, p.PID) })
		if len(left) == 0 {
			return nil
		}
		for _, p := range left {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // already gone is what we want
		}
		<-pause.C
	}
	return fmt.Errorf("processes that cannot be killed: %v", processesOf(dir))
}

func alive(pid int) bool {
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
