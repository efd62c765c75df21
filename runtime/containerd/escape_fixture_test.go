//go:build linux

package containerd

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// strays are what an image says to steer a linker and to be given devices.
var strays = []string{"LD_PRELOAD=/evil/library.so", "NVIDIA_VISIBLE_DEVICES=all"}

// fixture is a host worth escaping to, and an image that carries the probe.
type fixture struct {
	host
	probe  string   // the program, on this host
	secret string   // a folder of this host: a secret and a socket
	input  string   // a folder that tasks may read
	env    []string // where in this host there is something to find

	mu   sync.Mutex
	lack map[string][]protection // by task
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{host: open(t), lack: make(map[string][]protection)}
	dir, err := os.MkdirTemp("", "rigmesh-test-escape-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f.probe, f.secret, f.input = filepath.Join(dir, "probe"), filepath.Join(dir, "secret"), filepath.Join(dir, "input")
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(f.secret, 0o755), os.Mkdir(f.input, 0o755),
		os.WriteFile(filepath.Join(f.secret, "secret"), []byte("of the host\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	f.makeProbe(t)
	f.image = f.pack(t, dir)
	f.entice(t)
	f.Runtime.loosen = f.loosen
	return f
}

// makeProbe builds the probe, or takes the built one that RIGMESH_PROBE names: the emulated
// machine of testnet/vm has no Go.
func (f *fixture) makeProbe(t *testing.T) {
	t.Helper()
	if built := os.Getenv("RIGMESH_PROBE"); built != "" {
		f.probe = built
		return
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f.probe, "../../testnet/escape/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func (f *fixture) off(task string) []protection {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lack[task]
}

// entice puts up what a task is not to reach.
func (f *fixture) entice(t *testing.T) {
	loopback := listen(t, "tcp", "127.0.0.1:0")
	abstract := listen(t, "unix", fmt.Sprintf("@rigmesh-escape-%d", os.Getpid()))
	control := filepath.Join(f.secret, "control.sock")
	listen(t, "unix", control)
	if err := os.Chmod(control, 0o600); err != nil {
		t.Fatal(err)
	}
	lan := ""
	if ip := lanAddress(); ip != "" {
		lan = listen(t, "tcp", net.JoinHostPort(ip, "0"))
	}
	pid := sleeper(t)
	key := 0x72690000 | os.Getpid()&0xffff
	segment, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.SysvShmCtl(segment, unix.IPC_RMID, nil) })
	f.env = []string{"ESCAPE_LOOPBACK=" + loopback, "ESCAPE_ABSTRACT=" + abstract, "ESCAPE_LAN=" + lan,
		fmt.Sprint("ESCAPE_HOST_PID=", pid), fmt.Sprint("ESCAPE_SHM=", key)}
}

// sleeper is a process of the host whose number no process of a task has: theirs count from 1,
// and a signal to that number would reach one of their own.
func sleeper(t *testing.T) (pid int) {
	for {
		process := exec.Command("sleep", "1000")
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		end := func() { _ = process.Process.Kill(); _ = process.Wait() }
		if pid = process.Process.Pid; pid > 4096 {
			t.Cleanup(end)
			return pid
		}
		end()
	}
}

// listen takes connections and drops them, until the test ends.
func listen(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func lanAddress() string {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return ""
}

// pack makes the image: busybox, and a layer of what an attacker would put in one.
func (f *fixture) pack(t *testing.T, dir string) runtime.Image {
	t.Helper()
	path, tree := filepath.Join(dir, "image.tar"), filepath.Join(dir, "tree")
	if err := ociimage.BusyboxTree(tree); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(f.probe)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, mode int64, h tar.Header) entry {
		h.Name, h.Mode, h.Typeflag = name, mode, tar.TypeReg
		return entry{h, program}
	}
	// Version 2 of the attribute: CAP_NET_RAW, permitted and effective.
	capability := string([]byte{1, 0, 0, 2, 0, 1 << 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	entries := []entry{
		{tar.Header{Name: "evil/", Mode: 0o755, Typeflag: tar.TypeDir}, nil},
		{tar.Header{Name: "world/", Mode: 0o777, Typeflag: tar.TypeDir}, nil},
		file("evil/probe", 0o755, tar.Header{}),
		file("evil/setuid", 0o4755, tar.Header{}),
		file("evil/capable", 0o755, tar.Header{PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}}),
		file("evil/others", 0o600, tar.Header{Uid: 7, Gid: 7}),
		{tar.Header{Name: "evil/secret", Typeflag: tar.TypeSymlink, Linkname: filepath.Join(f.secret, "secret")}, nil},
	}
	if major, minor, ok := hostDisk(); ok {
		entries = append(entries, entry{tar.Header{Name: "evil/disk", Mode: 0o666, Typeflag: tar.TypeBlock, Devmajor: major, Devminor: minor}, nil})
	}
	o := ociimage.Options{Env: append([]string{"PATH=/bin"}, strays...)}
	if err := ociimage.FromLayers(path, o, ociimage.Tree(tree, 0), tarOf(entries...)); err != nil {
		t.Fatal(err)
	}
	return pullArchive(t, f.Runtime, path)
}

type entry struct {
	tar.Header
	content []byte
}

// tarOf is a layer of just these entries, good or bad.
func tarOf(entries ...entry) ociimage.Layer {
	return func(w io.Writer) error {
		t := tar.NewWriter(w)
		for _, e := range entries {
			e.Format, e.Size = tar.FormatPAX, int64(len(e.content))
			if err := t.WriteHeader(&e.Header); err != nil {
				return err
			}
			if _, err := t.Write(e.content); err != nil {
				return err
			}
		}
		return t.Close()
	}
}

// hostDisk is a block device of this host that we may open ourselves.
func hostDisk() (major, minor int64, ok bool) {
	disks, _ := filepath.Glob("/sys/block/*")
	for _, path := range disks {
		f, err := os.Open(filepath.Join("/dev", filepath.Base(path)))
		if err != nil {
			continue
		}
		_ = f.Close()
		number, err := os.ReadFile(filepath.Join(path, "dev"))
		if err != nil {
			continue
		}
		if _, err := fmt.Sscanf(string(number), "%d:%d", &major, &minor); err == nil {
			return major, minor, true
		}
	}
	return 0, 0, false
}
