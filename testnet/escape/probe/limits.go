//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The sizes are for a task of 256 MiB, a disk of 64 MiB and 64 processes.
var limitAttempts = map[string]func() error{
	"take-memory":    takeMemory,
	"fill-tmp":       func() error { return fill("/tmp") },
	"fill-shm":       func() error { return fill("/dev/shm") },
	"fill-root":      func() error { return fill("/") },
	"fill-output":    func() error { return fill("/output") },
	"fill-input":     func() error { return fill("/private") },
	"many-files":     func() error { return manyFiles("/world/files") },
	"many-processes": manyProcesses,
	"hog-cpu":        hogCPU,
}

const tooMuch = 384 << 20

func takeMemory() error {
	b, err := unix.Mmap(-1, 0, tooMuch, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return nil
}

func fill(dir string) error {
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer f.Close()
	block := make([]byte, 1<<20)
	for range 160 {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}

func manyFiles(dir string) error {
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for i := range 10_000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func manyProcesses() error {
	for range 100 {
		cmd := exec.Command("/bin/sleep", "1000")
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	}
	return nil
}

// hogCPU burns a second on two cores and is denied when it is held up meanwhile.
func hogCPU() error {
	before, err := throttled()
	if err != nil {
		return err
	}
	var spun atomic.Uint64
	for range 2 {
		go func() { // ends with the process
			for {
				spun.Add(1)
			}
		}()
	}
	for {
		var used unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &used); err != nil {
			return err
		}
		now, err := throttled()
		if err != nil {
			return err
		}
		if now >= before+3 {
			return fmt.Errorf("held up %d times", now-before)
		}
		if used.Nano() > 1e9 {
			return nil
		}
	}
}

// throttled is how often the kernel has held the task up.
func throttled() (int, error) {
	for _, file := range []string{cgroups + "/cpu/cpu.stat", cgroups + "/cpu.stat"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			var n int
			if _, err := fmt.Sscanf(line, "nr_throttled %d", &n); err == nil {
				return n, nil
			}
		}
	}
	return 0, errAbsent
}

// hoard takes every watch of files that the kernel gives, says how many those were, and stays
// whoever asks it to end.
func hoard() {
	signal.Ignore(unix.SIGTERM)
	n := 0
	for ; ; n++ {
		if _, err := unix.InotifyInit1(0); err != nil {
			break
		}
	}
	fmt.Println(n)
	for {
		_ = unix.Pause()
	}
}
