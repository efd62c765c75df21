//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var kernelAttempts = map[string]func() error{
	"add-key": func() error {
		_, err := unix.AddKey("user", "attempt", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
		return err
	},
	"read-keyring":       func() error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true); return err },
	"request-key":        requestKey,
	"bpf-map":            bpfMap,
	"perf-kernel-events": perfKernel,
	"userfaultfd":        func() error { return sys(unix.SYS_USERFAULTFD, 1) }, // 1: of user mode only, which needs no capability
	"io-uring":           ioURing,
	"kexec":              func() error { return built(sys(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)) }, // nothing to load
	"load-module":        loadModule,
	"reboot":             func() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_ON) }, // as it is after every start
	"swap-off":           swapOff,
	"accounting":         func() error { return passes(unix.Acct("/none"), unix.ENOENT) },
	"set-clock":          setClock,
	"tune-clock":         tuneClock,
	"io-ports":           func() error { return built(sys(unix.SYS_IOPERM, 0x80, 1, 1)) },
	"io-privilege":       func() error { return built(sys(unix.SYS_IOPL, 3)) },
	"open-by-handle":     openByHandle,
	"watch-all-files":    func() error { _, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT, unix.O_RDONLY); return err },
	"quota-call":         func() error { return sys(unix.SYS_QUOTACTL, 0x800001<<8, 0, 0, 0) }, // sync
	"personality":        func() error { return sys(unix.SYS_PERSONALITY, 0x0040000) },         // no address randomisation
	"compare-processes":  func() error { return sys(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(os.Getpid()), 1, 0, 0) },
	"raise-priority":     func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -5) },
	"lock-memory":        lockMemory,
}

// built takes ENOSYS for a kernel without this call, where nothing filters calls.
func built(err error) error {
	if errors.Is(err, unix.ENOSYS) {
		return errAbsent
	}
	return err
}

func requestKey() error {
	if _, err := unix.AddKey("user", "wanted", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING); err != nil {
		return err
	}
	_, err := unix.RequestKey("user", "wanted", "", 0)
	return err
}

func bpfMap() error {
	attr := struct{ kind, key, value, entries uint32 }{2, 4, 4, 1} // an array of one
	return sys(unix.SYS_BPF, 0, pointer(&attr), unsafe.Sizeof(attr))
}

func perfKernel() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
	_, err := unix.PerfEventOpen(&attr, 0, -1, -1, 0)
	return err
}

func ioURing() error {
	var params [120]byte
	return sys(unix.SYS_IO_URING_SETUP, 1, pointer(&params))
}

func loadModule() error {
	if _, err := os.Stat("/proc/modules"); err != nil {
		return errAbsent
	}
	return passes(unix.InitModule([]byte("no module"), ""), unix.ENOEXEC)
}

func swapOff() error {
	path := "/tmp/no-swap\x00"
	if err := os.WriteFile("/tmp/no-swap", nil, 0o600); err != nil {
		return err
	}
	return passes(sys(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(unsafe.StringData(path)))), unix.EINVAL)
}

// setClock asks for a time zone that does not exist, which is looked at last.
func setClock() error {
	zone := struct{ west, summer int32 }{99999, 0}
	return passes(sys(unix.SYS_SETTIMEOFDAY, 0, pointer(&zone)), unix.EINVAL)
}

// tuneClock sets the frequency of the clock to what it is.
func tuneClock() error {
	var now unix.Timex
	if _, err := unix.Adjtimex(&now); err != nil {
		return err
	}
	const setFrequency = 2
	_, err := unix.Adjtimex(&unix.Timex{Modes: setFrequency, Freq: now.Freq})
	return err
}

// openByHandle opens the root folder of the file system that /input is on, by number.
func openByHandle() error {
	var fs unix.Statfs_t
	if err := unix.Statfs("/input", &fs); err != nil {
		return err
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		return errAbsent // other file systems number otherwise
	}
	dir, err := unix.Open("/input", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	const inodeAndGeneration = 1
	_, err = unix.OpenByHandleAt(dir, unix.NewFileHandle(inodeAndGeneration, []byte{2, 0, 0, 0, 0, 0, 0, 0}), unix.O_RDONLY)
	return err
}

// lockMemory locks one byte more than anybody may.
func lockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return err
	}
	if limit.Cur > 64<<20 {
		return errAbsent
	}
	b, err := unix.Mmap(-1, 0, int(limit.Cur)+1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return unix.Mlock(b)
}

// coreDump has a program crash. On many hosts the kernel starts a program of the host
// for that, as root, and feeds it what crashed.
func coreDump() error {
	dir, err := fresh()
	if err != nil {
		return err
	}
	unlimited := unix.Rlimit{}
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &unlimited); err != nil {
		return err
	}
	unlimited.Cur = unlimited.Max
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unlimited); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "crash")
	cmd.Dir = dir
	_ = cmd.Run()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.CoreDump() {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) > 0 {
		return nil
	}
	return unix.EFBIG
}

// crash ends as a crashing program does; Go's runtime would write a report instead.
func crash() {
	_ = sys(unix.SYS_RT_SIGACTION, uintptr(unix.SIGQUIT), pointer(&[4]uint64{}), 0, 8) // the default action
	_ = unix.Kill(os.Getpid(), unix.SIGQUIT)
	select {}
}
