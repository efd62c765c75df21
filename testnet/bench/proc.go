//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process holds at one moment.
type usage struct {
	rss     int64 // bytes
	own     int64 // of that, in bytes, what is not the program's file, which all processes share
	fds     int
	threads int
	cpu     time.Duration // used so far by the threads there are
}

func usageOf(pid int) (usage, error) {
	var u usage
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	var kib int64
	if _, err := fmt.Sscanf(procField(filepath.Join(proc, "status"), "VmRSS"), "%d", &kib); err != nil {
		return u, fmt.Errorf("process %d shows no memory: %w", pid, err)
	}
	u.rss = kib << 10
	_, _ = fmt.Sscanf(procField(filepath.Join(proc, "status"), "RssAnon"), "%d", &kib)
	u.own = kib << 10
	u.fds = children(proc, "fd")
	// Of each thread, because /proc/PID/stat counts in hundredths of a second.
	threads, err := filepath.Glob(filepath.Join(proc, "task", "*", "schedstat"))
	if err != nil {
		return u, err
	}
	u.threads = len(threads)
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that just ended
		}
		var ns int64
		_, _ = fmt.Sscanf(string(text), "%d", &ns)
		u.cpu += time.Duration(ns)
	}
	return u, nil
}

// mounts counts the mount points whose line in the table holds one of some places.
func mounts(places ...string) int {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return -1
	}
	n := 0
	for line := range strings.Lines(string(table)) {
		for _, place := range places {
			if strings.Contains(line, place) {
				n++
				break
			}
		}
	}
	return n
}

// children counts the entries of a folder.
func children(elem ...string) int {
	entries, err := os.ReadDir(filepath.Join(elem...))
	if err != nil {
		return 0
	}
	return len(entries)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
