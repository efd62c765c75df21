package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/requester"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// defaultDuration is the longest lease of a job without a timeout: what workers
// sign for when nobody changed their settings.
const defaultDuration = 24 * time.Hour

// disputedStop ends a task when the worker's evidence does not fit.
const disputedStop = "stop"

// check names everything about a job that is wrong before any file was opened, and gives
// its folders.
func (j jobFile) check() ([]input, []outputDir, error) {
	var problems []error
	var inputs []input
	for _, text := range j.Inputs {
		in, err := parseInput(text)
		inputs, problems = append(inputs, in), append(problems, err)
	}
	var outputs []outputDir
	for _, text := range j.Outputs {
		out, err := parseOutput(text)
		outputs, problems = append(outputs, out), append(problems, err)
	}
	if iv := time.Duration(j.Heartbeat.Interval); iv != 0 && (iv < job.MinInterval || iv > job.MaxInterval) {
		problems = append(problems, fmt.Errorf("heartbeat interval %s: want %s to %s", iv, job.MinInterval, job.MaxInterval))
	}
	if d := j.Heartbeat.Disputed; d != "" && d != "show" && d != disputedStop {
		problems = append(problems, fmt.Errorf("heartbeat disputed %q: want show or stop", d))
	}
	problems = append(problems, requester.CheckWitnesses(&leasev1.Submission{
		Witnesses: j.Heartbeat.Witnesses.peers, AnyWitnesses: j.Heartbeat.Witnesses.any,
	}))
	problems = append(problems, requester.CheckRetries(j.Retries))
	problems = append(problems, j.Resources.check()...)
	problems = append(problems, j.Placement.check()...)
	if err := errors.Join(problems...); err != nil {
		return nil, nil, &usageError{err}
	}
	// The spec with stand-ins for what only the files can tell.
	trial := j.spec(&marketv1.Image{Digest: noDigest, Platform: "linux/amd64"}, nil)
	for _, in := range inputs {
		trial.Inputs = append(trial.Inputs, &marketv1.Input{Manifest: noDigest, Path: in.path})
	}
	if err := job.CheckSpec(trial); err != nil {
		return nil, nil, &usageError{err}
	}
	return inputs, outputs, nil
}

var noDigest = "sha256:" + strings.Repeat("0", 64)

// spec is the job as the market has it.
func (j jobFile) spec(image *marketv1.Image, inputs []*marketv1.Input) *marketv1.Spec {
	s := &marketv1.Spec{
		Version:    job.Version,
		Image:      image,
		Entrypoint: j.Entrypoint,
		Command:    j.Command,
		Env:        j.Env,
		Workdir:    j.Workdir,
		User:       j.User,
		Gpu: &marketv1.Requirement{
			Count:          j.Resources.GPU.Count,
			VramBytes:      uint64(j.Resources.GPU.VRAM),
			Capability:     string(j.Resources.GPU.Compute),
			Driver:         string(j.Resources.GPU.Driver),
			Cuda:           string(j.Resources.GPU.CUDA),
			Nvlink:         j.Resources.GPU.NVLink,
			Exclusive:      j.Resources.GPU.Exclusive,
			Mig:            j.Resources.GPU.MIG,
			AllowSimulated: j.Resources.GPU.Simulated,
		},
		Resources: &marketv1.Resources{
			CpuMillis:   uint64(j.Resources.CPU),
			MemoryBytes: uint64(j.Resources.Memory),
			DiskBytes:   uint64(j.Resources.Disk),
		},
		Inputs: inputs,

		Egress:       j.Egress.message(),
		ReadOnlyRoot: j.ReadOnly,
		Stdin:        j.Stdin,
		Terminal:     j.Terminal,
		TimeoutMs:    time.Duration(j.Timeout).Milliseconds(),
		Name:         j.Name,
	}
	if j.Resources.GPU.Model != "" {
		s.Gpu.Models = strings.Split(j.Resources.GPU.Model, ",")
	}
	for _, text := range j.Outputs {
		if out, err := parseOutput(text); err == nil { // check has named the others
			s.Outputs = append(s.Outputs, out.path)
		}
	}
	return s
}

// submission is the spec with how to find a worker for it.
func (j jobFile) submission(p plan, spec *marketv1.Spec) *leasev1.Submission {
	duration := defaultDuration
	if j.Timeout != 0 {
		duration = time.Duration(j.Timeout)
	}
	return &leasev1.Submission{
		Spec:          spec,
		MaxPrice:      uint64(j.Price.Max),
		MaxDurationMs: duration.Milliseconds(),
		IntervalMs:    time.Duration(j.Heartbeat.Interval).Milliseconds(),
		WaitMs:        time.Duration(p.wait).Milliseconds(),
		Broadcast:     p.broadcast,
		Worker:        p.worker,
		Witnesses:     j.Heartbeat.Witnesses.peers,
		AnyWitnesses:  j.Heartbeat.Witnesses.any,
		Retries:       j.Retries,
		StopDisputed:  j.Heartbeat.Disputed == disputedStop,
		Placement:     j.Placement.message(),
		Prefer:        j.Prefer.message(uint64(j.Price.Max)),
		Forwards:      j.Ports.messages(),
	}
}
