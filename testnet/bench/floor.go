//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/typeurl/v2"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd"
	"github.com/rigmesh/rigmesh/runtime/containerd/assets"
	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
	"github.com/rigmesh/rigmesh/runtime/ociarchive"
)

const (
	floorDir    = "floor"
	floorPrefix = "benchfloor"
	snapshotter = "overlayfs"
	// templateID is a task of the runtime's whose OCI spec the floor repeats. As long as
	// the floor's own ids, so that one can stand for the other in a path.
	templateID = "template"
)

// A floor is what a task costs without a market: the same containerd child of the same
// binary, driven with as little as possible.
type floor struct {
	runtime  *containerd.Runtime // the one that workers use, for its own share
	client   *client.Client      // a bare client of the same child
	image    runtime.Image
	dir      string
	programs assets.Programs
	spec     *oci.Spec // of a task of the runtime's: isolation, limits, init, root folder
	config   client.Image
	n        atomic.Int64
	begun    atomic.Int64 // what the last container took from create to started, in ns
}

// openFloor starts a containerd child of its own, with the image pulled and one task
// of the runtime's looked at.
func openFloor(ctx context.Context, binary, dir string, archive *ociarchive.Archive) (*floor, error) {
	f := &floor{image: archive.Image(), dir: dir}
	var err error
	f.runtime, err = containerd.New(containerd.Config{
		DataDir: dir, Prefix: floorPrefix, Executable: binary, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := f.runtime.Open(ctx); err != nil {
		return nil, err
	}
	if err := f.runtime.Pull(ctx, f.image, archive, nil); err != nil {
		return nil, err
	}
	state := stateOf(dir)
	if _, err := record.Read(state, daemon.ProgramsFile, &f.programs); err != nil {
		return nil, err
	}
	if f.client, err = client.New(daemon.Socket(state)); err != nil {
		return nil, err
	}
	return f, f.learn(f.named(ctx))
}

// named is the namespace of the floor's runtime.
func (f *floor) named(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, "rigmesh-"+floorPrefix)
}

// learn runs one task of the runtime's and keeps what it is made of.
func (f *floor) learn(ctx context.Context) error {
	task := runtime.Spec{ID: templateID, Image: f.image, Command: []string{"true"}}
	if err := f.runtime.Start(ctx, task); err != nil {
		return err
	}
	if _, err := f.runtime.Wait(ctx, templateID); err != nil {
		return err
	}
	container, err := f.client.LoadContainer(ctx, templateID)
	if err != nil {
		return err
	}
	if f.spec, err = container.Spec(ctx); err != nil {
		return err
	}
	f.config, err = f.client.GetImage(ctx, "rigmesh/"+f.image.Digest+"@"+f.image.Platform)
	return err
}

// nextID is a task's id of as many letters as the template's.
func (f *floor) nextID() string { return fmt.Sprintf("job%05d", f.n.Add(1)) }

// throughRuntime is a task as a worker runs it, without the market.
func (f *floor) throughRuntime(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	id := f.nextID()
	err := f.runtime.Start(ctx, runtime.Spec{ID: id, Image: f.image, Command: []string{"true"}})
	if err != nil {
		return 0, err
	}
	exit, err := f.runtime.Wait(ctx, id)
	if err != nil || exit.Code != 0 {
		return 0, fmt.Errorf("task of the runtime: %+v, %w", exit, err)
	}
	err = f.runtime.Remove(ctx, id)
	return time.Since(began), err
}

// plain is a container as containerd makes them when nobody asks for more.
func (f *floor) plain(ctx context.Context) (time.Duration, error) {
	id := f.nextID()
	return f.container(f.named(ctx), id,
		client.WithSnapshotter(snapshotter), client.WithNewSnapshot(id, f.config),
		client.WithNewSpec(oci.WithImageConfig(f.config), oci.WithProcessArgs("/bin/true")))
}

// alike is a container with the OCI spec, the init, the users and the root folder of a
// worker's task. The record folder is made ahead and is not in the time, as the root is not.
func (f *floor) alike(ctx context.Context) (time.Duration, error) {
	id := f.nextID()
	ours, theirs := filepath.Join(f.dir, "tasks", id, "rec"), filepath.Join(f.dir, "tasks", templateID, "rec")
	if err := copyRecord(ours, theirs); err != nil {
		return 0, err
	}
	spec := *f.spec
	spec.Hostname = id
	linux := *spec.Linux
	linux.CgroupsPath = strings.ReplaceAll(linux.CgroupsPath, templateID, id)
	spec.Linux, spec.Mounts = &linux, slices.Clone(spec.Mounts)
	for i := range spec.Mounts {
		spec.Mounts[i].Source = strings.Replace(spec.Mounts[i].Source, theirs, ours, 1)
	}
	took, err := f.container(f.named(ctx), id, func(_ context.Context, _ *client.Client, c *containers.Container) error {
		var err error
		c.Spec, err = typeurl.MarshalAny(&spec)
		return err
	})
	if err != nil {
		return took, err
	}
	var exit record.Exit
	if ok, err := record.Read(ours, record.ExitFile, &exit); !ok || err != nil || exit.Code != 0 {
		return took, fmt.Errorf("the init left no good record: %+v, %w", exit, err)
	}
	return took, os.RemoveAll(filepath.Dir(ours))
}

// copyRecord makes a task's record folder as it is before its init runs, owners included.
func copyRecord(to, from string) error {
	for _, name := range []string{".", record.JobFile, record.StdoutFile, record.StderrFile} {
		fi, err := os.Stat(filepath.Join(from, name))
		if err != nil {
			return err
		}
		at, owner := filepath.Join(to, name), fi.Sys().(*syscall.Stat_t)
		if fi.IsDir() {
			err = os.MkdirAll(at, fi.Mode().Perm())
		} else {
			var content []byte
			if content, err = os.ReadFile(filepath.Join(from, name)); err == nil {
				err = os.WriteFile(at, content, fi.Mode().Perm())
			}
		}
		if err := errors.Join(err, os.Lchown(at, int(owner.Uid), int(owner.Gid))); err != nil {
			return err
		}
	}
	return nil
}

// container is create, start, wait, delete; the time is from the first to the last.
func (f *floor) container(ctx context.Context, id string, opts ...client.NewContainerOpts) (time.Duration, error) {
	began := time.Now()
	opts = append(opts, client.WithRuntime(f.programs.Shim,
		&options.Options{BinaryName: f.programs.Runc, Root: filepath.Join(stateOf(f.dir), "runc")}))
	c, err := f.client.NewContainer(ctx, id, opts...)
	if err != nil {
		return 0, err
	}
	task, err := c.NewTask(ctx, cio.NullIO)
	if err != nil {
		return 0, errors.Join(err, c.Delete(ctx, client.WithSnapshotCleanup))
	}
	stopped, err := task.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := task.Start(ctx); err != nil {
		return 0, err
	}
	f.begun.Store(int64(time.Since(began)))
	status := <-stopped
	if code, _, err := status.Result(); err != nil || code != 0 {
		return 0, fmt.Errorf("container %s: code %d, %w", id, code, err)
	}
	if _, err := task.Delete(ctx); err != nil {
		return 0, err
	}
	err = c.Delete(ctx, client.WithSnapshotCleanup)
	return time.Since(began), err
}

// close removes what is left and ends the child.
func (f *floor) close(ctx context.Context) error {
	if f == nil {
		return nil
	}
	if f.client != nil {
		_ = f.client.Close()
	}
	return errors.Join(f.runtime.Remove(ctx, templateID), f.runtime.Shutdown(ctx), f.runtime.Close())
}
