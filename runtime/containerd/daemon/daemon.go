//go:build linux

// Package daemon is containerd inside this binary: a server with the few plugins
// that tasks need, run as a child process that outlives the node.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/containerd/containerd/v2/cmd/containerd/server"
	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime/containerd/assets"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// Subcommand is the first argument that makes this binary run the daemon.
const Subcommand = "containerd"

// Args are the arguments that start the daemon over the two folders.
func Args(root, state string) []string {
	return []string{Subcommand, "--root", root, "--state", state}
}

// unpackFlag makes it unpack the programs instead.
const unpackFlag = "unpack"

func programsDir(root string) string { return filepath.Join(root, "bin") }

// Main runs the daemon with the arguments after Subcommand.
func Main(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(Subcommand, flag.ContinueOnError)
	root := flags.String("root", "", "what must survive a restart of the host")
	state := flags.String("state", "", "sockets and mounts; short path, on a tmpfs")
	unpack := flags.Bool(unpackFlag, false, "write the programs that this one carries under root, and no more")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *unpack {
		_, err := assets.Extract(programsDir(*root))
		return err
	}
	return Run(ctx, *root, *state)
}

// Run serves until ctx ends or SIGTERM comes. Tasks outlive it. When it was started
// with a file descriptor 3 it writes one byte there once it serves. ErrRunning when
// another daemon has the state folder.
func Run(ctx context.Context, root, state string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ready := readyPipe()
	if err := os.MkdirAll(state, 0o711); err != nil {
		return err
	}
	lock, err := acquire(state)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := prepare(ctx, root, state); err != nil {
		return err
	}
	srv, err := serve(ctx, root, state)
	if err != nil {
		return err
	}
	defer srv.Stop()
	if ready != nil {
		_, _ = ready.Write([]byte{1})
		_ = ready.Close()
	}
	<-ctx.Done()
	return nil
}

// extract has the programs unpacked by another process. That takes ten times the memory that
// serving takes, and would stay with this one.
func extract(ctx context.Context, root string) (assets.Programs, error) {
	programs, err := assets.Extracted(programsDir(root))
	if !errors.Is(err, fs.ErrNotExist) {
		return programs, err
	}
	out, err := exec.CommandContext(ctx, "/proc/self/exe", Subcommand, "--root", root, "--"+unpackFlag).CombinedOutput()
	if err != nil {
		return programs, fmt.Errorf("unpack programs: %w: %s", err, bytes.TrimSpace(out))
	}
	return assets.Extracted(programsDir(root))
}

// prepare extracts the programs and tells clients where they are.
func prepare(ctx context.Context, root, state string) error {
	programs, err := extract(ctx, root)
	if err != nil {
		return err
	}
	// containerd asks the shim what it can do; for that the shim looks for a runc.
	path := filepath.Dir(programs.Runc) + string(os.PathListSeparator) + os.Getenv("PATH")
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	if err := record.Write(state, ProgramsFile, programs); err != nil {
		return err
	}
	tmp := filepath.Join(root, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	if err := mount.SetTempMountLocation(tmp); err != nil {
		return err
	}
	_, err = mount.CleanupTempMounts(unix.MNT_DETACH)
	return err
}

func serve(ctx context.Context, root, state string) (*server.Server, error) {
	_ = log.SetLevel("warn")
	socket := Socket(state)
	const grpcMessage = 16 << 20
	cfg := &srvconfig.Config{
		Version: 4, Root: root, State: state,
		// containerd's own are for machines that are never busy: it takes a shim that does not answer for
		// dead, and ends its task.
		Timeouts: map[string]string{
			"io.containerd.timeout.shim.load": "20s", "io.containerd.timeout.shim.cleanup": "30s", "io.containerd.timeout.task.state": "10s",
		},
		RequiredPlugins: []string{"io.containerd.runtime.v2.task", "io.containerd.snapshotter.v1.overlayfs"},
		Plugins: map[string]any{
			"io.containerd.server.v1.grpc":  map[string]any{"address": socket, "max_recv_message_size": grpcMessage, "max_send_message_size": grpcMessage},
			"io.containerd.server.v1.ttrpc": map[string]any{"address": socket + ".t"},
			// The default is to look for garbage four times a second, also when idle.
			"io.containerd.gc.v1.scheduler": map[string]any{"pause_threshold": 0.005},
			// The default place is shared by every containerd of the host.
			"io.containerd.shim.v1.manager": map[string]any{"socket_dir": ShimSockets(state)},
		},
	}
	if err := errors.Join(server.CreateTopLevelDirectories(cfg), os.MkdirAll(ShimSockets(state), 0o700)); err != nil {
		return nil, err
	}
	srv, err := server.New(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	if err := srv.Start(ctx); err != nil {
		srv.Stop()
		return nil, fmt.Errorf("containerd: %w", err)
	}
	return srv, nil
}

// readyPipe is descriptor 3 if whoever started us put a pipe there.
func readyPipe() *os.File {
	var st unix.Stat_t
	if err := unix.Fstat(readyFD, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	unix.CloseOnExec(readyFD) // or a shim would keep it open
	return os.NewFile(readyFD, "ready")
}

const readyFD = 3
