//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

const snapshotter = "overlayfs"

// cleanWithin bounds cleaning up after a call whose context may be over.
const cleanWithin = 30 * time.Second

var taskIDs = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Start creates and starts a task of a pulled image.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec) error {
	if err := checkSpec(spec); err != nil {
		return fmt.Errorf("start task: %w", err)
	}
	r.sweeping.RLock()
	defer r.sweeping.RUnlock()
	defer r.ids.lock(spec.ID)()
	if err := os.Mkdir(r.paths.task(spec.ID), 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = runtime.ErrExists
		}
		return fmt.Errorf("start task %s: %w", spec.ID, err)
	}
	fresh := true
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		if fresh { // at the first attempt there is hardly ever something to take up
			fresh = false
			task, err := r.create(ctx, c, spec)
			if err == nil {
				return r.begin(ctx, task)
			}
			if !errdefs.IsAlreadyExists(err) {
				return err
			}
		}
		return r.launch(ctx, c, spec)
	})
	if err == nil {
		return nil
	}
	err = r.orNoSpace(fmt.Errorf("start task %s: %w", spec.ID, err))
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
	defer cancel()
	return errors.Join(err, r.discard(clean, spec.ID))
}

func checkSpec(spec runtime.Spec) error {
	var problems []error
	if len(spec.ID) > 64 || !taskIDs.MatchString(spec.ID) {
		problems = append(problems, fmt.Errorf("id %q is not at most 64 of a–z, 0–9 and single -", spec.ID))
	}
	for _, m := range spec.Mounts {
		if m.Source != "" && !filepath.IsAbs(m.Source) || !filepath.IsAbs(m.Target) || filepath.Clean(m.Target) == "/" {
			problems = append(problems, fmt.Errorf("mount %s on %s: not absolute paths", m.Source, m.Target))
		}
		if t := filepath.Clean(m.Target); t == "/.rigmesh" || strings.HasPrefix(t, "/.rigmesh/") {
			problems = append(problems, fmt.Errorf("mount on %s: that place is the init's", m.Target))
		}
	}
	for _, f := range slices.Concat(spec.Devices.Nodes, spec.Devices.Files) {
		if !filepath.IsAbs(f.Source) || !filepath.IsAbs(f.Target) {
			problems = append(problems, fmt.Errorf("device file %s on %s: not absolute paths", f.Source, f.Target))
		}
	}
	return errors.Join(problems...)
}

// launch brings a task up. It is called again when the daemon died meanwhile and then
// takes up what is there: a job is never started twice.
func (r *Runtime) launch(ctx context.Context, c *client.Client, spec runtime.Spec) error {
	task, err := findTask(ctx, c, spec.ID)
	if err != nil {
		return err
	}
	began := record.Marked(r.paths.record(spec.ID), record.StartedFile)
	if task != nil && !began {
		status, err := task.Status(ctx)
		if err != nil {
			return err
		}
		if status.Status == client.Created {
			return r.begin(ctx, task)
		}
		began = status.Status == client.Running || status.Status == client.Paused
	}
	if began {
		return nil
	}
	if err := r.clear(ctx, c, spec.ID); err != nil {
		return err
	}
	if task, err = r.create(ctx, c, spec); err != nil {
		return err
	}
	return r.begin(ctx, task)
}

// begin lets a created task run, once its way out is there.
func (r *Runtime) begin(ctx context.Context, task client.Task) error {
	if err := r.connectTask(task.ID(), task.Pid()); err != nil {
		return err
	}
	return task.Start(ctx)
}

func (r *Runtime) create(ctx context.Context, c *client.Client, spec runtime.Spec) (client.Task, error) {
	img, err := pulled(ctx, c, spec.Image)
	if err != nil {
		return nil, err
	}
	l, err := r.prepare(ctx, c, img, spec)
	if err != nil {
		return nil, err
	}
	container, err := r.newContainer(ctx, c, l)
	if err != nil {
		return nil, err
	}
	return container.NewTask(ctx, cio.NullIO) // the init keeps the outputs
}

// newContainer tells containerd of a task. Its client would put a gc lease around that, which costs
// two more commits; but here nothing is made that the container does not hold by its label from the beginning.
func (r *Runtime) newContainer(ctx context.Context, c *client.Client, l *launch) (client.Container, error) {
	programs := r.programsNow()
	made := containers.Container{ID: l.spec.ID}
	for _, option := range []client.NewContainerOpts{
		client.WithNewSpec(l.options()...),
		client.WithContainerLabels(map[string]string{layersLabel: l.chain}),
		client.WithRuntime(programs.Shim, &options.Options{BinaryName: programs.Runc, Root: r.paths.runc()}),
	} {
		if err := option(ctx, c, &made); err != nil {
			return nil, err
		}
	}
	if _, err := c.ContainerService().Create(ctx, made); err != nil {
		return nil, err
	}
	return c.LoadContainer(ctx, made.ID)
}

// prepare makes what a task has on the host beside its container.
func (r *Runtime) prepare(ctx context.Context, c *client.Client, img client.Image, spec runtime.Spec) (*launch, error) {
	l := &launch{spec: spec, flags: []string{"nodev"}, namespace: r.namespace, init: r.programsNow().Init, recordDir: r.paths.record(spec.ID),
		root: r.paths.mount(spec.ID, rootMount), hostsFile: filepath.Join(r.paths.task(spec.ID), hostsFile)}
	config, err := imageConfig(ctx, img)
	if err != nil {
		return nil, err
	}
	var user string
	if l.job, l.workdir, user, err = jobOf(spec, config.Config); err != nil {
		return nil, err
	}
	l.job.OutputBytes, l.job.Stdin, l.job.Terminal = r.cfg.OutputBytes, spec.Stdin, spec.Terminal
	if l.users, err = r.claimUsers(spec.ID); err != nil {
		return nil, err
	}
	if r.loosen != nil {
		r.loosen(l)
	}
	l.chain = identity.ChainID(config.RootFS.DiffIDs).String()
	if err := r.makeRoot(ctx, c, l); err != nil {
		return nil, err
	}
	if err := setUser(ctx, l.root, user, &l.job); err != nil {
		return nil, err
	}
	if spec.ReadOnlyRoot {
		l.volumes = slices.Sorted(maps.Keys(config.Config.Volumes))
	}
	return l, r.furnish(l)
}

// furnish prepares what is mounted into the root folder.
func (r *Runtime) furnish(l *launch) error {
	for i, v := range l.volumes {
		if err := l.volume(v); err != nil {
			return err
		}
		l.volumes[i] = filepath.Clean(v)
	}
	for _, m := range l.spec.Mounts {
		source, err := r.mountSource(l, m)
		if err != nil {
			return err
		}
		l.sources = append(l.sources, source)
	}
	hosts := "127.0.0.1 localhost " + l.spec.ID + "\n::1 localhost\n"
	return errors.Join(os.WriteFile(l.hostsFile, []byte(hosts), 0o644), r.keepEgress(l), l.order())
}

// volume makes a folder that the image wants writable be there. No link may be on the way:
// the host would follow it.
func (l *launch) volume(name string) error {
	root, err := os.OpenRoot(l.root)
	if err != nil {
		return err
	}
	defer root.Close()
	at := "."
	for part := range strings.SplitSeq(strings.Trim(filepath.Clean("/"+name), "/"), "/") {
		at = filepath.Join(at, part)
		fi, err := root.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			if err := errors.Join(root.Mkdir(at, 0o755), root.Lchown(at, int(l.users.First), int(l.users.First))); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if !fi.IsDir() {
			return unusable("volume %s: %s is no folder", name, at)
		}
	}
	return nil
}

// order hands the job to the init, whose user owns the record folder.
func (l *launch) order() error {
	if err := os.MkdirAll(l.recordDir, 0o700); err != nil {
		return err
	}
	if err := record.Put(l.recordDir, record.JobFile, l.job); err != nil {
		return err
	}
	// Here before the init is, so that whoever follows them has something to watch.
	for _, name := range []string{record.StdoutFile, record.StderrFile} {
		if err := os.WriteFile(filepath.Join(l.recordDir, name), nil, 0o600); err != nil {
			return err
		}
	}
	owner := int(l.users.First + record.InitID)
	for _, name := range []string{record.JobFile, record.StdoutFile, record.StderrFile, "."} {
		if err := os.Lchown(filepath.Join(l.recordDir, name), owner, owner); err != nil {
			return err
		}
	}
	return nil
}

// findTask is containerd's task of an ID, nil when there is none.
func findTask(ctx context.Context, c *client.Client, id string) (client.Task, error) {
	container, err := c.LoadContainer(ctx, id)
	if err == nil {
		var task client.Task
		if task, err = container.Task(ctx, nil); err == nil {
			return task, nil
		}
	}
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	return nil, err
}

// clear removes what containerd and the kernel hold of a task.
func (r *Runtime) clear(ctx context.Context, c *client.Client, id string) error {
	task, err := findTask(ctx, c, id)
	if err != nil {
		return err
	}
	if task != nil {
		if _, err := task.Delete(ctx, client.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	if err := errors.Join(r.disconnect(id), r.sweepTask(ctx, id), r.unmountAll(id)); err != nil {
		return err
	}
	err = c.ContainerService().Delete(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// discard removes all there is of a task. Its folder goes last: while it is there,
// the task can be found and removed again.
func (r *Runtime) discard(ctx context.Context, id string) error {
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error { return r.clear(ctx, c, id) })
	if err != nil {
		return err
	}
	if err := os.RemoveAll(r.paths.task(id)); err != nil {
		return err
	}
	return r.releaseUsers(id)
}

// orNoSpace adds ErrNoSpace when the disk is full, of bytes or of files: gRPC carries no
// such error.
func (r *Runtime) orNoSpace(err error) error {
	switch free, looked := runtime.RoomUnder(r.cfg.DataDir); {
	case looked != nil:
		return err
	case free.NoFiles():
		return fmt.Errorf("%w for files: %w", runtime.ErrNoSpace, err)
	case free.Full():
		return fmt.Errorf("%w: %w", runtime.ErrNoSpace, err)
	}
	return err
}
