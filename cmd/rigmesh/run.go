package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rigmesh/rigmesh/node/control"
	"github.com/urfave/cli/v2"
)

// The exit codes of run that are not the job's own, as docker and timeout have them.
const (
	exitTimeout     = 124
	exitOurs        = 125
	exitInterrupted = 130
)

func runCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "run",
		Usage:     "run a program on somebody else's GPU",
		Category:  categoryRent,
		ArgsUsage: "IMAGE [COMMAND…]",
		UsageText: "rigmesh run [flags] IMAGE [COMMAND…]\n   rigmesh run [flags] -f job.yaml [IMAGE [COMMAND…]]",
		Description: "IMAGE is what docker would pull, from Docker Hub or the registry that it names, with the credentials of\n" +
			"docker login; or oci-archive:PATH, a file as docker save, podman save or skopeo write it. This side fetches\n" +
			"it and hands it to the worker; a public one the worker may have itself, or get from other workers or the registry.\n\n" +
			"Everything after IMAGE belongs to the task, flags too. The exit code is the task's; 124: out of time,\n" +
			"125: rigmesh's own failure, 126: not executable, 127: not found.\n\n" +
			"Ctrl-C asks the task to stop, a second one gives the lease up. Closing the terminal ends nothing:\n" +
			"rigmesh attach JOB looks again. -v copies a folder, a file, a file of the web or what another node shares\n" +
			"(rigmesh share) to the worker, which is another machine.\n\n" +
			"With -it the task has this terminal. Ctrl-P Ctrl-Q leaves it, and so does a cut connection: the job goes on, and\n" +
			"rigmesh attach JOB comes back to the same terminal. With -i alone standard input goes to the task.\n\n" +
			examples(
				"rigmesh run -it --vram 24GiB pytorch/pytorch:2.8 bash",
				"rigmesh run --vram 24GiB -v ./data:/data:ro -o /out:./out pytorch/pytorch:2.8 python train.py",
				"rigmesh run -v ./weights.bin:/models/w.bin -v https://example.org/clip.mp4:/in/clip.mp4 pytorch/pytorch:2.8 python infer.py",
				"rigmesh run -p 8888 --vram 24GiB quay.io/jupyter/pytorch-notebook:cuda12-latest",
				"rigmesh run -f job.yaml",
				"rigmesh run --dry-run --gpu 2 --max-price 0.80 oci-archive:train.tar > job.yaml"),
		Flags:  runFlags(),
		Action: func(c *cli.Context) error { return runJob(c, k) },
	}, anyNumber)
}

// runJob is rigmesh run. What the person typed wrongly is exit code 2; every other failure of
// ours is 125, so that the job's own 1 stays its own.
func runJob(c *cli.Context, k console) error {
	j, err := jobOf(c, k)
	if err != nil {
		return err
	}
	p, err := planOf(c)
	if err != nil {
		return err
	}
	if p.forget && p.detach {
		return hint(usagef("--rm forgets a job whose end it sees, and -d does not wait for it"), "rigmesh rm JOB forgets it later")
	}
	if (j.Stdin || j.Terminal) && !p.detach && !c.Bool("dry-run") {
		if p.sit, err = sittingOf(c, k, j.Stdin, j.Terminal); err != nil {
			return err
		}
	}
	inputs, outputs, err := j.check()
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		text, err := j.String()
		fmt.Fprint(k.out, text)
		return err
	}
	return ours(rent(c, k, j, p, inputs, outputs))
}

// ours gives a failure the exit code of run's own.
func ours(err error) error {
	var usage *usageError
	var decided *exitError
	if err == nil || errors.As(err, &usage) || errors.As(err, &decided) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return &exitError{exitInterrupted, nil}
	}
	return &exitError{exitOurs, explain(err)}
}

// rent brings the job to the node and follows it.
func rent(c *cli.Context, k console, j jobFile, p plan, inputs []input, outputs []outputDir) error {
	for _, in := range inputs {
		if err := in.check(); err != nil {
			return err
		}
	}
	if err := checkOutputs(outputs, p.overwrite); err != nil {
		return err
	}
	v := newView(k, p.quiet)
	open, err := listen(j.Ports) // a port that is taken is named before anything costs something
	if err != nil {
		return err
	}
	defer open.close()
	client, id, err := submit(c, k, j, p, inputs, v)
	if err != nil {
		return err
	}
	defer client.Close()
	if p.detach {
		fmt.Fprintln(k.out, id)
		return nil
	}
	defer open.serve(c.Context, client, id, v.say)()
	for _, l := range open {
		v.say("%s", l)
	}
	v.want, v.explain = wantsOf(j.submission(p, j.spec(nil, nil))), p.explain
	err = look(c.Context, client, k, v, id, p.sit, outputs)
	if p.forget && v.delivered {
		err = forget(c.Context, client, id, err)
	}
	return err
}

// forget clears away after a job whose end was seen: one that goes on is no error.
func forget(ctx context.Context, client *control.Client, id string, ended error) error {
	if err := client.Forget(ctx, id); err != nil && !errors.Is(err, control.ErrInvalid) && !errors.Is(err, control.ErrLost) {
		return errors.Join(ended, fmt.Errorf("forget the job: %w", err))
	}
	return ended
}

// submit does what comes before there is a job. Ctrl-C ends it.
func submit(c *cli.Context, k console, j jobFile, p plan, inputs []input, v *view) (*control.Client, string, error) {
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	v.status("reading the image and the inputs")
	content, err := load(ctx, j.Image, j.Platform, inputs)
	if err != nil {
		return nil, "", err
	}
	defer content.Close()
	v.status("starting the node")
	client, err := connect(ctx, c, k)
	if err != nil {
		return nil, "", err
	}
	if err = content.findShared(ctx, client, v); err == nil {
		err = content.send(ctx, client, v.sending)
	}
	if err != nil {
		client.Close()
		return nil, "", err
	}
	id, err := client.Submit(ctx, j.submission(p, j.spec(content.image, content.inputs)))
	if err != nil {
		client.Close()
		return nil, "", err
	}
	return client, id, nil
}
