//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/testnet/lab"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// site is the emulated worker and, outside of it, a requester.
type site struct {
	options
	*machine
	lab       *lab.Lab
	bootstrap string // the worker's address, once it runs
}

// laptop is the requester's data directory.
const laptop = "laptop"

// on the machine, where things are.
const (
	program = "/opt/rigmesh/rigmesh"
	dataDir = "/var/lib/rigmesh"
)

// newSite makes the disks of a machine that is off.
func newSite(ctx context.Context, o options, made image) (*site, error) {
	l, err := lab.New(o.rigmesh)
	if err != nil {
		return nil, err
	}
	s := &site{options: o, lab: l, machine: &machine{dir: l.Dir, image: made}}
	if err := s.disks(ctx); err != nil {
		return nil, errors.Join(err, l.Clear())
	}
	return s, nil
}

func (s *site) disks(ctx context.Context) error {
	if err := ociimage.Busybox(s.path("busybox.tar")); err != nil {
		return err
	}
	tools := s.path("tools")
	if err := os.Mkdir(tools, 0o755); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(tools, "rigmesh"), s.rigmesh); err != nil {
		return err
	}
	for name, build := range map[string][]string{
		"agent":           {"build", "./testnet/vm/agent"},
		"probe":           {"build", "./testnet/escape/probe"},
		"containerd.test": {"test", "-c", "./runtime/containerd"},
	} {
		args := slices.Insert(build, len(build)-1, "-o", filepath.Join(tools, name))
		if err := command(ctx, "go", args...); err != nil {
			return err
		}
	}
	if err := disk(ctx, s.path("tools.ext4"), toolsLabel, "1G", tools); err != nil {
		return err
	}
	if err := disk(ctx, s.path("data.ext4"), dataLabel, "8G", ""); err != nil {
		return err
	}
	// The image is as it was for the next run; holes stay holes.
	return command(ctx, "cp", "--sparse=always", s.image.root, s.path("root.ext4"))
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// close ends everything, keeps the console for whoever asks why, and says what was left.
func (s *site) close() error {
	s.off()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _, _ = s.rigmeshHere(ctx, "down", "--data", laptop) // it may not run
	err := copyFile(filepath.Join(s.cache, "console.log"), s.path("console.log"))
	if errors.Is(err, os.ErrNotExist) {
		err = nil // never switched on
	}
	return errors.Join(err, s.lab.Stop(ctx), s.lab.Clear())
}

// rigmeshHere runs a command of the requester's, and gives its output and exit code.
func (s *site) rigmeshHere(ctx context.Context, args ...string) (string, int, error) {
	cmd := s.lab.Command(ctx, args...)
	cmd.Env = append(cmd.Env, "RIGMESH_LISTEN=/ip4/"+hostAddress+"/tcp/0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", 0, fmt.Errorf("rigmesh %s: %w", strings.Join(args, " "), err)
	}
	if err != nil {
		return out.String() + errs.String(), exit.ExitCode(), nil
	}
	return strings.TrimSpace(out.String()), 0, nil
}

// lastLine is how a command ended, in its own words.
func lastLine(out string) string {
	out = strings.TrimSpace(out)
	return out[strings.LastIndexByte(out, '\n')+1:]
}

// requester is rigmeshHere for a command that must succeed.
func (s *site) requester(ctx context.Context, args ...string) (string, error) {
	out, code, err := s.rigmeshHere(ctx, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("rigmesh %s: exit code %d: %s", args[0], code, out)
	}
	return out, err
}
