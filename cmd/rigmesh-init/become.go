//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// refusalFD is where the second stage says why the job did not begin. It closes
// by itself when it did.
const refusalFD = 3

// refused is why the job did not begin. Code zero: it did.
type refused struct {
	Code  int
	Error string
}

func readRefusal(r *os.File) <-chan refused {
	out := make(chan refused, 1)
	go func() {
		defer r.Close()
		var got refused
		_ = json.NewDecoder(r).Decode(&got) // nothing to read: the job began
		out <- got
	}()
	return out
}

// become turns this process into the job.
func become() {
	goruntime.LockOSThread() // credentials belong to a thread; this one calls exec
	unix.CloseOnExec(refusalFD)
	var job record.Job
	if ok, err := record.Read(record.DirPath, record.JobFile, &job); !ok || err != nil {
		refuse(125, fmt.Errorf("read what to run: %v", err))
	}
	refuse(turnInto(job))
}

// turnInto makes this process, whose thread is locked, a job of the task. It returns when
// that cannot be, with the exit code that says so.
func turnInto(job record.Job) (code int, err error) {
	// The job is to die before its init when memory is short.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
		return 125, fmt.Errorf("offer the job to the OOM killer: %w", err)
	}
	if err := surrender(job); err != nil {
		return 125, err
	}
	if job.Workdir != "" {
		if err := os.Chdir(job.Workdir); err != nil { // as the job's user
			return 126, fmt.Errorf("work in %s: %w", job.Workdir, errors.Unwrap(err))
		}
	}
	path, err := "/proc/self/exe", error(nil) // as the job's user, with nothing of ours left
	if !job.Own {
		path, err = lookPath(job)
	}
	if err == nil {
		err = syscall.Exec(path, job.Args, job.Env)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 127, fmt.Errorf("%s: not found", job.Args[0])
	}
	return 126, fmt.Errorf("%s: %w", job.Args[0], err)
}

func refuse(code int, err error) {
	_ = json.NewEncoder(os.NewFile(refusalFD, "refusal")).Encode(refused{code, err.Error()})
	os.Exit(code)
}

// surrender makes this thread the job's user, without any capability and without
// a way to get one back: for user 0 an exec would take them from the bounding set.
func surrender(job record.Job) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL { // EINVAL: newer than this kernel
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	const noRoot = 1<<0 | 1<<1 // SECBIT_NOROOT and its lock
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, noRoot, 0, 0, 0); err != nil {
		return fmt.Errorf("take root's privileges from user 0: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	if err := assume(job); err != nil {
		return err
	}
	if err := unix.Capset(capsOf(0)); err != nil {
		return fmt.Errorf("drop all capabilities: %w", err)
	}
	return nil
}

// assume changes to the job's user: raw calls, because the standard library's
// change every thread and only this one becomes the job.
func assume(job record.Job) error {
	if job.UID >= record.InitID || job.GID >= record.InitID {
		return fmt.Errorf("user %d:%d is outside the task's ids", job.UID, job.GID)
	}
	groups := make([]int, len(job.Groups))
	for i, g := range job.Groups {
		groups[i] = int(g)
	}
	if err := unix.Setgroups(groups); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(job.GID), uintptr(job.GID), uintptr(job.GID)); e != 0 {
		return fmt.Errorf("set group %d: %w", job.GID, e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(job.UID), uintptr(job.UID), uintptr(job.UID)); e != 0 {
		return fmt.Errorf("set user %d: %w", job.UID, e)
	}
	return nil
}

// keepOnlyKill leaves the init, on all its threads, what it needs once the job runs.
func keepOnlyKill() error {
	_, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	if e != 0 {
		return fmt.Errorf("clear ambient capabilities: %w", e)
	}
	header, data := capsOf(1 << unix.CAP_KILL)
	_, _, e = syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)), 0)
	goruntime.KeepAlive(header)
	goruntime.KeepAlive(data)
	if e != 0 {
		return fmt.Errorf("keep one capability: %w", e)
	}
	return nil
}

// capsOf is the arguments of capset for the given permitted and effective
// capabilities (of the first 32, which hold all we ever have), none inheritable.
func capsOf(mask uint32) (*unix.CapUserHeader, *unix.CapUserData) {
	data := &[2]unix.CapUserData{{Effective: mask, Permitted: mask}}
	return &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]
}

// lookPath finds the job's program as the job's user, as a shell would.
func lookPath(job record.Job) (string, error) {
	name := job.Args[0]
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	var last error = fs.ErrNotExist
	for _, dir := range filepath.SplitList(path(job.Env)) {
		candidate := filepath.Join(dir, name)
		err := executable(candidate)
		if err == nil {
			return candidate, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			last = err
		}
	}
	return "", last
}

func executable(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return syscall.EISDIR
	}
	return unix.Access(path, unix.X_OK)
}

func path(env []string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			return v
		}
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}
