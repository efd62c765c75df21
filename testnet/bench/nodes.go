//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
	"github.com/rigmesh/rigmesh/runtime/ociarchive"
	"github.com/rigmesh/rigmesh/testnet/lab"
)

// Data directories in the lab's folder.
const (
	workerDir    = "worker"
	requesterDir = "requester"
)

// readyWithin is how long a node may take to answer before the bench gives up.
const readyWithin = 30 * time.Second

// pair is a worker and a requester as two processes, which have met.
type pair struct {
	lab       *lab.Lab
	worker    *lab.Process
	requester *lab.Process
	address   string // of the worker
	peer      string // likewise
	client    *control.Client
	archive   *ociarchive.Archive
	image     *marketv1.Image
	ready     map[string]time.Duration // from start to the first answer, by data directory
}

// startNode starts a node and notes how long it took to answer.
func (p *pair) startNode(ctx context.Context, dir string, args ...string) (*lab.Process, *controlv1.StatusResponse, error) {
	began := time.Now()
	process, err := p.lab.Start(dir, append(args, "--data", dir)...)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	status, err := p.lab.Ready(ctx, process, dir)
	if err != nil {
		return nil, nil, err
	}
	p.ready[dir] = time.Since(began)
	return process, status, nil
}

func workerArgs() []string {
	return []string{"up", "--listen", "/ip4/127.0.0.1/tcp/0", "--simulate-gpu", "rtx-4090:4", "--price", "0.2"}
}

// startPair starts both nodes and hands the requester the image.
func startPair(ctx context.Context, l *lab.Lab, archive *ociarchive.Archive) (*pair, error) {
	p := &pair{lab: l, archive: archive, ready: map[string]time.Duration{}}
	var status *controlv1.StatusResponse
	var err error
	if p.worker, status, err = p.startNode(ctx, workerDir, workerArgs()...); err != nil {
		return nil, err
	}
	if len(status.Addresses) == 0 {
		return nil, errors.New("the worker has no address")
	}
	p.address, p.peer = status.Addresses[0], status.PeerId
	p.requester, _, err = p.startNode(ctx, requesterDir, "node", "--requester", "--listen", "/ip4/127.0.0.1/tcp/0", "--bootstrap", p.address)
	if err != nil {
		return nil, err
	}
	if p.client, err = control.Dial(ctx, l.Path(requesterDir)); err != nil {
		return nil, err
	}
	for _, b := range archive.Blobs() {
		if err := p.put(ctx, b.Digest); err != nil {
			return nil, err
		}
	}
	i := archive.Image()
	p.image = &marketv1.Image{
		Digest: i.Digest, MediaType: i.MediaType, SizeBytes: uint64(i.Size), Platform: i.Platform,
		TotalBytes: uint64(archive.TotalBytes()), Name: "busybox",
	}
	return p, p.meet(ctx)
}

func (p *pair) put(ctx context.Context, digest string) error {
	r, err := p.archive.Open(digest)
	if err != nil {
		return err
	}
	return errors.Join(p.client.PutBlob(ctx, digest, r), r.Close())
}

// meet waits until the requester has found the worker's offer.
func (p *pair) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		found, err := p.client.Offers(ctx, &controlv1.ListOffersRequest{WaitMs: 500})
		if err != nil {
			return fmt.Errorf("requester and worker do not find each other: %w", err)
		}
		if len(found.Offers) > 0 {
			return nil
		}
	}
}

// submission is a job of one command on one device.
func (p *pair) submission(command ...string) *leasev1.Submission {
	return &leasev1.Submission{
		Spec: &marketv1.Spec{
			Version: 1, Image: p.image, Command: command,
			Gpu: &marketv1.Requirement{Count: 1, AllowSimulated: true},
		},
		MaxPrice: 500_000, MaxDurationMs: time.Hour.Milliseconds(),
	}
}

// errNoBid: no worker took the job.
var errNoBid = errors.New("no bid")

// outcome is what a job's events told.
type outcome struct {
	job, lease string
	events     []*leasev1.JobEvent
	leased     time.Duration // from submit to a lease that both sides signed, as the watcher sees it
	known      time.Duration // from submit to the job's end, known to whoever submitted
	cleaned    time.Duration // from submit to nothing of the task left on the worker, if later
}

// reached is when a job's task was first heard to be in a phase, from when its lease was signed on;
// false when that was not told: a follower hears of the last of several at once.
func (o outcome) reached(p leasev1.Phase) (time.Duration, bool) {
	var signed int64
	for _, e := range o.events {
		if e.GetLease() != nil {
			signed = e.AtMs
		}
		if e.GetProgress().GetPhase() == p && e.GetProgress() != nil {
			return time.Duration(e.AtMs-signed) * time.Millisecond, true
		}
	}
	return 0, false
}

// run submits a job and follows it until it has ended here and is gone there.
func (p *pair) run(ctx context.Context, sub *leasev1.Submission) (outcome, error) {
	began := time.Now()
	var o outcome
	var err error
	if o.job, err = p.client.Submit(ctx, sub); err != nil {
		return o, err
	}
	var ended *leasev1.JobEnded
	for item, err := range p.client.Watch(ctx, &controlv1.WatchJobRequest{JobId: o.job, Follow: true}) {
		if err != nil {
			return o, err
		}
		if e := item.GetEvent(); e != nil {
			o.events = append(o.events, e)
			ended = e.GetEnded()
			if e.GetLease() != nil {
				o.leased = time.Since(began)
			}
		}
	}
	o.known = time.Since(began)
	if ended.GetOutcome() == leasev1.Outcome_OUTCOME_NO_BID {
		return o, errNoBid
	}
	if ended.GetOutcome() != leasev1.Outcome_OUTCOME_EXITED || ended.GetExit().GetCode() != 0 {
		return o, fmt.Errorf("job %s did not do its work: %v", o.job, ended)
	}
	o.lease = ended.LeaseId
	if err := gone(ctx, p.taskDir(o.lease)); err != nil {
		return o, err
	}
	o.cleaned = time.Since(began)
	return o, nil
}

// taskDir is what the runtime removes last of a task.
func (p *pair) taskDir(lease string) string {
	return p.lab.Path(workerDir, "containerd", "tasks", "rm-"+lease[:24])
}

// gone waits until a path is no more.
func gone(ctx context.Context, path string) error {
	look := time.NewTicker(500 * time.Microsecond)
	defer look.Stop()
	for {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is still there: %w", path, ctx.Err())
		}
	}
}

// stateOf is the folder on /run of the runtime in a data folder.
func stateOf(dataDir string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(dataDir)))
	return filepath.Join("/run/rigmesh", hex.EncodeToString(sum[:5]))
}

// childOf is the containerd child of the runtime in a data folder.
func childOf(dataDir string) (int, error) {
	p, running, err := daemon.Running(stateOf(dataDir))
	if err == nil && !running {
		err = fmt.Errorf("no containerd runs in %s", dataDir)
	}
	return p.PID, err
}

// stop ends both nodes in order.
func (p *pair) stop(ctx context.Context) error {
	if p.client != nil {
		p.client.Close()
	}
	return p.lab.Stop(ctx)
}
