package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/urfave/cli/v2"
)

func execCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "exec",
		Usage:     "run one more program in the task of a job that runs",
		Category:  categoryRent,
		ArgsUsage: "JOB [--] COMMAND…",
		Description: "The program is the task's user and as confined as the task: same files, same network, same limits.\n" +
			"It ends with the task, and with this command. The exit code is the program's; 125: rigmesh's own failure,\n" +
			"126: not executable, 127: not found.\n\n" +
			"With -it it has a terminal, to which every key goes, Ctrl-C too. Without -t Ctrl-C is passed on as a\n" +
			"signal, and a second one ends the program.\n\n" +
			examples("rigmesh exec -it 3f2a bash", "rigmesh exec 3f2a -- nvidia-smi", "rigmesh exec -i 3f2a -- sh -c 'cat > /tmp/x' < x"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass standard input on", DisableDefaultText: true},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the program a terminal: this one", DisableDefaultText: true},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME=value`, or NAME for this shell's value; repeatable", KeepSpace: true},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "working `DIR` in the task"},
			leaveFlag(),
		},
		Action: func(c *cli.Context) error { return ours(execIn(c, k)) },
	}, anyNumber)
}

func execIn(c *cli.Context, k console) error {
	id, args, err := execArguments(c)
	if err != nil {
		return err
	}
	s, err := sittingOf(c, k, c.Bool("interactive"), c.Bool("tty"))
	if err != nil {
		return err
	}
	var env variables
	for _, v := range c.StringSlice("env") {
		env = env.with(v, k.getenv)
	}
	client, err := connect(c.Context, c, k) // the job may be waiting for its node to come back
	if err != nil {
		return err
	}
	defer client.Close()
	err = s.run(c.Context, client, id, &leasev1.ExecStart{Args: args, Env: env, Workdir: c.String("workdir")})
	if errors.Is(err, errDetached) {
		fmt.Fprintf(k.err, "rigmesh: %s goes on until it ends, or the job does; nothing leads back to it\n", args[0])
		return nil
	}
	return err
}

// execArguments are a job and the words after it. "--" may stand between them.
func execArguments(c *cli.Context) (id string, args []string, err error) {
	given := c.Args().Slice()
	usage := strings.TrimSpace(c.Command.HelpName + " [flags] " + c.Command.ArgsUsage)
	if len(given) < 2 || given[1] == "--" && len(given) < 3 {
		return "", nil, hint(usagef("%s wants %s", c.Command.HelpName, c.Command.ArgsUsage), "usage: %s", usage)
	}
	if given[1] == "--" {
		return given[0], given[2:], nil
	}
	if strings.HasPrefix(given[1], "-") {
		return "", nil, hint(usagef("flag %s comes after the argument %q", given[1], given[0]), "flags go first: %s", usage)
	}
	return given[0], given[1:], nil
}

// errNotRunning: the task has not begun, or has ended.
var errNotRunning = errors.New("the worker did not run it")

// refusedExec turns a worker's refusal into an error.
func refusedExec(r *leasev1.ExecRefused) error {
	why := job.CleanText(r.Sentence)
	if why == "" {
		why = "it does not say why"
	}
	err := fmt.Errorf("the worker did not run it: %s", why)
	if r.Reason == leasev1.ExecRefusal_EXEC_REFUSAL_NOT_RUNNING {
		err = fmt.Errorf("%w: %s", errNotRunning, why)
	}
	switch r.Reason {
	case leasev1.ExecRefusal_EXEC_REFUSAL_FROZEN:
		return hint(err, "a frozen task does nothing; rigmesh describe JOB says why it stands still")
	case leasev1.ExecRefusal_EXEC_REFUSAL_NOT_RUNNING:
		return hint(err, "rigmesh ps shows how far the job is")
	case leasev1.ExecRefusal_EXEC_REFUSAL_BUSY:
		return hint(err, "end one of them first")
	}
	return err
}

// execProblem adds what to do about a failure to run a program.
func execProblem(err error) error {
	switch {
	case errors.Is(err, control.ErrNoTask):
		return hint(err, "rigmesh ps shows how far the job is; rigmesh logs what it wrote")
	case errors.Is(err, control.ErrCut):
		return hint(err, "the job goes on: rigmesh ps says how it stands")
	}
	return err
}
