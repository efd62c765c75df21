package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// ErrContent marks content that will not become right by asking again: a wrong
// digest, a manifest that leads out of its folder.
var ErrContent = errors.New("unusable content")

func (n *tenancy) dir() string            { return filepath.Join(n.w.Dir, taskID(n.id)) }
func (n *tenancy) inputDir(i int) string  { return filepath.Join(n.dir(), "in", strconv.Itoa(i)) }
func (n *tenancy) endedFile() string      { return filepath.Join(n.dir(), "ended") }
func (n *tenancy) inputDone(i int) string { return n.inputDir(i) + ".done" }

// fetch brings the image and the inputs here, trying again for as long as the lease lives.
func (t *task) fetch(ctx context.Context) error {
	s := t.s
	s.board.enter(leasev1.Phase_PHASE_PULLING)
	// Nobody else of this host may reach what a stranger's task writes: it may be
	// a file of root's with the setuid bit.
	if err := os.MkdirAll(s.dir(), 0o700); err != nil {
		return fmt.Errorf("folder of the task: %w", err)
	}
	id := s.id
	src, release := s.w.Peers.Blobs(s.requester, id[:])
	defer release()
	if err := t.fetchImage(ctx, src); err != nil {
		return err
	}
	for i, in := range s.spec.Inputs {
		s.board.enter(leasev1.Phase_PHASE_PULLING) // the image's progress is not the input's
		if err := t.again(ctx, "input "+in.Path, func() error { return s.fetchInput(ctx, src, i) }); err != nil {
			return err
		}
	}
	return nil
}

// fetchImage takes a public image from where anybody gets it, and what is missing then, like
// any other image, from its requester.
func (t *task) fetchImage(ctx context.Context, requester runtime.BlobSource) error {
	s := t.s
	from := openSources(s.w.Registry, s.w.Swarm, s.spec.Image, requester)
	from.proven = s.w.Policy.Images.Proven()
	from.tell = s.board.layer
	defer from.Close()
	began, first, last := s.w.Now(), int64(-1), int64(0)
	err := t.again(ctx, "image", func() error {
		for {
			err := s.w.Runtime.Pull(ctx, imageOf(s), from, func(done, total int64) {
				s.board.pulled(uint64(done), uint64(total))
				if last = done; first < 0 {
					first = done
				}
			})
			if !errors.Is(err, runtime.ErrImage) || !from.again() {
				return err
			}
			s.log.Info("image not usable as others gave it, asking for what was wrong once more", "err", err)
		}
	})
	if err != nil {
		return err
	}
	s.w.pace.note(last-max(0, first), s.w.Now().Sub(began))
	if public := from.good(s.spec.Image.Digest); len(public) > 0 && s.w.Swarm != nil {
		s.w.Swarm.Share(s.spec.Image.Digest, public)
	}
	return nil
}

// again repeats what failed for a passing reason.
func (t *task) again(ctx context.Context, what string, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errStopped
		}
		if errors.Is(err, runtime.ErrImage) || errors.Is(err, runtime.ErrNoSpace) || errors.Is(err, ErrContent) {
			return fmt.Errorf("%s: %w", what, err)
		}
		t.s.log.Info("fetch cut off, trying again", "what", what, "err", err)
		if !pause(ctx, retryEvery) {
			return errStopped
		}
	}
}

// fetchInput unpacks one input folder. One that was cut off begins anew, and one of an earlier
// boot too: its files are not synced, which takes long, and may be empty after a power cut.
func (n *tenancy) fetchInput(ctx context.Context, src runtime.BlobSource, i int) error {
	if boot, err := os.ReadFile(n.inputDone(i)); err == nil && string(boot) == n.w.Boot {
		return nil
	}
	if err := os.RemoveAll(n.inputDir(i)); err != nil {
		return err
	}
	if err := os.MkdirAll(n.inputDir(i), 0o755); err != nil {
		return err
	}
	in := n.spec.Inputs[i]
	if in.Shared && n.w.Commons != nil {
		from, release, err := n.w.Commons.Bring(ctx, in, src, func(done, total int64) { n.board.pulled(uint64(done), uint64(total)) })
		if err != nil {
			return err
		}
		defer release()
		src = from
	}
	if err := n.w.Folders.Unpack(ctx, src, in.Manifest, n.inputDir(i)); err != nil {
		return err
	}
	if in.File {
		if fi, err := os.Lstat(filepath.Join(n.inputDir(i), job.InputFile)); err != nil || !fi.Mode().IsRegular() {
			return fmt.Errorf("%w: its manifest has no file %q", ErrContent, job.InputFile)
		}
	}
	return os.WriteFile(n.inputDone(i), []byte(n.w.Boot), 0o600)
}

func imageOf(s *tenancy) runtime.Image {
	im := s.spec.Image
	return runtime.Image{
		Digest: im.Digest, MediaType: im.MediaType, Size: int64(im.SizeBytes), Platform: im.Platform, For: s.requester.String(),
	}
}

// spec is the task as the runtime wants it.
func (t *task) spec() runtime.Spec {
	s, r := t.s, t.s.spec.GetResources()
	spec := runtime.Spec{
		ID: t.id, Image: imageOf(s), Entrypoint: s.spec.Entrypoint, Command: s.spec.Command,
		Env: s.spec.Env, Workdir: s.spec.Workdir, User: s.spec.User,
		Limits:       runtime.Limits{CPUMillis: r.GetCpuMillis(), MemoryBytes: r.GetMemoryBytes(), DiskBytes: r.GetDiskBytes(), Pids: r.GetPids()},
		Egress:       runtime.Egress{Public: s.spec.GetEgress().GetPublic(), Hosts: s.spec.GetEgress().GetHosts()},
		ReadOnlyRoot: s.spec.ReadOnlyRoot, Stdin: s.spec.Stdin, Terminal: s.spec.Terminal,
	}
	for i, in := range s.spec.Inputs {
		m := runtime.Mount{Source: s.inputDir(i), Target: in.Path, ReadOnly: in.ReadOnly, Private: !in.ReadOnly}
		if in.File {
			m.File = job.InputFile
		}
		spec.Mounts = append(spec.Mounts, m)
	}
	for _, out := range s.spec.Outputs {
		spec.Mounts = append(spec.Mounts, runtime.Mount{Target: out})
	}
	return spec
}

// keepEnded writes down how the task ended, for a restart before the requester has it.
func (n *tenancy) keepEnded(e *leasev1.Ended) error {
	b, err := proto.Marshal(e)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir(), 0o700); err != nil {
		return err
	}
	return journal.WriteFile(n.endedFile(), b)
}

// loadEnded reads it back.
func (n *tenancy) loadEnded() (*leasev1.Ended, error) {
	b, err := os.ReadFile(n.endedFile())
	if err != nil {
		return nil, err
	}
	var e leasev1.Ended
	return &e, proto.Unmarshal(b, &e)
}

func exitOf(e runtime.Exit) *leasev1.Exit {
	return &leasev1.Exit{
		Code: int32(e.Code), Signal: int32(e.Signal), Oom: e.OOM, Error: job.CleanText(e.Error), Cause: causeOf(e),
		StartedMs: max(0, e.Started.UnixMilli()), EndedMs: max(0, e.Ended.UnixMilli()), // a zero time is before 1970
	}
}

// outputs is the set of blobs a requester may fetch.
type outputs struct {
	mu      sync.Mutex
	digests map[string]bool
}

func (o *outputs) holds(digest string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.digests[digest]
}

func (o *outputs) load(f Folders, outs []*leasev1.Output) error {
	set := map[string]bool{}
	for _, out := range outs {
		digests, err := f.Digests(out.Manifest)
		if err != nil {
			return fmt.Errorf("outputs of %s: %w", out.Path, err)
		}
		for _, d := range digests {
			set[d] = true
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.digests = set
	return nil
}
