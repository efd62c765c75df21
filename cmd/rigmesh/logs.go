package main

import (
	"strconv"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func logsCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "logs",
		Usage:     "print what a job wrote",
		Category:  categoryRent,
		ArgsUsage: "JOB",
		Description: "The times are those at which the output came to this machine. What the task wrote while this machine was away\n" +
			"came when it was back.\n\n" + examples("rigmesh logs -f 3f2a", "rigmesh logs --tail 20 -f 3f2a",
			"rigmesh logs -t --since 10m 3f2a",
			"rigmesh logs 3f2a 2>/dev/null  # its standard output alone"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the job has ended", DisableDefaultText: true},
			&cli.StringFlag{Name: "since", Usage: "what came from `TIME` on: a time ago, such as 10m, or 2006-01-02T15:04:05"},
			&cli.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "begin each line with the time at which it came", DisableDefaultText: true},
			&cli.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all", Usage: "begin with the last `LINES` of each of the two outputs"},
		},
		Action: func(c *cli.Context) error { return logs(c, k) },
	}, arguments{1, 1})
}

func logs(c *cli.Context, k console) error {
	lines, err := tailOf(c.String("tail"))
	if err != nil {
		return err
	}
	since, err := sinceOf(c.String("since"), time.Now())
	if err != nil {
		return err
	}
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	req := &controlv1.WatchJobRequest{JobId: c.Args().First(), LogsOnly: true, SinceMs: since, Times: c.Bool("timestamps")}
	if lines >= 0 {
		if err := seekTail(c, client, req, lines); err != nil {
			return err
		}
	}
	req.Follow = c.Bool("follow")
	out := stamped{output: newOutput(k), times: req.Times}
	for item, err := range client.Watch(c.Context, req) {
		if err != nil {
			return err
		}
		if err := out.write(item.GetChunk(), item.GetCameMs()); err != nil {
			return err
		}
	}
	return nil
}

// maxTail bounds the line starts that are kept while looking for the last lines.
const maxTail = 1_000_000

// tailOf reads the value of --tail: a number of lines, or -1 for all of them.
func tailOf(text string) (int, error) {
	if text == "all" {
		return -1, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > maxTail {
		return 0, usagef("--tail %q: want a number of lines up to %d, or all", text, maxTail)
	}
	return int(n), nil
}

// seekTail moves a request to where the last lines of each output begin. It reads what the
// node holds once for that, so that the last lines need no room here, however long they are.
func seekTail(c *cli.Context, client *control.Client, req *controlv1.WatchJobRequest, lines int) error {
	var stdout, stderr tail
	for item, err := range client.Watch(c.Context, req) {
		if err != nil {
			return err
		}
		t := &stdout
		if item.GetChunk().GetStderr() {
			t = &stderr
		}
		if t.end == 0 {
			t.end = item.GetChunk().GetOffset() // of the first, with --since
		}
		t.add(item.GetChunk().GetData(), lines)
	}
	req.StdoutOffset, req.StderrOffset = stdout.offset(), stderr.offset()
	return nil
}
