//go:build linux

// Command probe runs inside a task and tries to get out of it. Every attempt is
// harmless where it succeeds: it asks for what is there already, opens without
// writing, or stops right behind the check of permission.
//
//	probe run NAME…    one line each: NAME, a tab, ok, denied or absent, a tab, why
//	probe reach NAME=tcp:ADDRESS…    the same of targets on a network
//	probe one NAME     one attempt in this process; exit 0, 41 (denied) or 42 (absent)
//	probe hoard        takes every watch of files that the kernel gives, and stays
//	probe naive        PID 1 without the precautions of rigmesh-init
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Exit codes of one attempt.
const (
	codeDenied = 41
	codeAbsent = 42
)

// errAbsent: this kernel, or this host, has nothing to attack here.
var errAbsent = errors.New("absent")

// attempts by name. nil is success, which is bad.
var attempts = make(map[string]func() error)

func init() {
	for _, group := range []map[string]func() error{
		mountAttempts, deviceAttempts, procAttempts, cgroupAttempts, initAttempts, hostAttempts,
		kernelAttempts, namespaceAttempts, privilegeAttempts, networkAttempts, limitAttempts,
	} {
		maps.Copy(attempts, group)
	}
}

func main() {
	if len(os.Args) < 2 {
		os.Exit(64)
	}
	switch os.Args[1] {
	case "naive":
		os.Exit(naive())
	case "run":
		leaked := leakedFiles()
		for _, name := range os.Args[2:] {
			verdict, why := child(name, leaked)
			fmt.Printf("%s\t%s\t%s\n", name, verdict, why)
		}
	case "one":
		os.Exit(one(os.Args[2]))
	case "reach":
		reach(os.Args[2:])
	case "capable": // behind an exec: has it given us raw sockets?
		os.Exit(report(capable(unix.CAP_NET_RAW)))
	case "root": // behind an exec of a setuid file: are we user 0?
		os.Exit(report(isRoot()))
	case "crash":
		crash()
	case "hoard":
		hoard()
	}
}

// child makes one attempt in a process of its own, which may be killed for it.
func child(name, leaked string) (verdict, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // an emulated machine is slow
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "one", name)
	cmd.Env = append(os.Environ(), "ESCAPE_LEAKED="+leaked)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	why = strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", " ")
	if err == nil {
		return "ok", why
	}
	switch cmd.ProcessState.ExitCode() {
	case codeDenied:
		return "denied", why
	case codeAbsent:
		return "absent", why
	default:
		return "denied", strings.TrimSpace(why + " " + err.Error())
	}
}

func one(name string) int {
	attempt, ok := attempts[name]
	if !ok {
		fmt.Println("no such attempt")
		return 64
	}
	return report(attempt())
}

// report prints why an attempt failed and gives the code to exit with.
func report(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errAbsent):
		fmt.Println(err)
		return codeAbsent
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		fmt.Println(unix.ErrnoName(errno))
	} else {
		fmt.Println(err)
	}
	return codeDenied
}

// sys is a raw system call. ENOSYS is a denial: a seccomp profile answers so too.
func sys(number uintptr, args ...uintptr) error {
	_, err := sysValue(number, args...)
	return err
}

func sysValue(number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	v, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return v, errno
	}
	return v, nil
}

// passes turns the error that comes right behind the check of permission into success.
func passes(err error, behind unix.Errno) error {
	if errors.Is(err, behind) {
		return nil
	}
	return err
}

// there gives errAbsent when the host has no such file, for a file that no
// protection hides.
func there(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%s: %w", path, errAbsent)
	}
	return nil
}

func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
