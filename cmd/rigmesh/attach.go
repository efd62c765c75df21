package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func attachCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "attach",
		Usage:     "look at a running job again, as run does",
		Category:  categoryRent,
		ArgsUsage: "JOB",
		Description: "Shows the job from its beginning and ends with its exit code. Ctrl-C stops the task, as in run;\n" +
			"rigmesh logs -f only looks. A job that has a terminal (run -it) has this one, to which every key goes; it shows\n" +
			"what was written last, and Ctrl-P Ctrl-Q leaves it again.\n\n" + examples("rigmesh attach 3f2a", "rigmesh attach -o /out:./out 3f2a"),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "output", Aliases: []string{"o"}, Usage: "`/path:DIR` comes back into a new DIR when the task has ended; repeatable", KeepSpace: true},
			&cli.BoolFlag{Name: "overwrite", Usage: "let outputs replace files in a DIR that is not empty", DisableDefaultText: true},
			leaveFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing but the task's own output", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error { return ours(attach(c, k)) },
	}, arguments{1, 1})
}

func attach(c *cli.Context, k console) error {
	var outputs []outputDir
	for _, text := range c.StringSlice("output") {
		out, err := parseOutput(text)
		if err != nil {
			return &usageError{err}
		}
		outputs = append(outputs, out)
	}
	if err := checkOutputs(outputs, c.Bool("overwrite")); err != nil {
		return err
	}
	client, err := connect(c.Context, c, k) // the job may be waiting for its node to come back
	if err != nil {
		return err
	}
	defer client.Close()
	explained, err := client.ExplainJob(c.Context, c.Args().First())
	if err != nil {
		return hint(err, "rigmesh ps --all lists the jobs")
	}
	for _, out := range outputs {
		if has := explained.Submission.GetSpec().GetOutputs(); explained.Submission != nil && !slices.Contains(has, out.path) {
			return fmt.Errorf("the job has no output %s; it has %s", out.path, cmp.Or(strings.Join(has, ", "), "none"))
		}
	}
	var s *sitting
	if spec := explained.Submission.GetSpec(); spec.GetTerminal() {
		if s, err = sittingOf(c, k, spec.GetStdin() && isTerminal(k.in), true); err != nil {
			return err
		}
	}
	v := newView(k, c.Bool("quiet"))
	v.want = wantsOf(explained.Submission)
	return look(c.Context, client, k, v, explained.JobId, s, outputs)
}
