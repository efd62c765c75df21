package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/urfave/cli/v2"
)

func runFlags() []cli.Flag {
	return append(taskFlags(), placementFlags("Finding a worker:")...)
}

// taskFlags are those about the task itself, and this side.
func taskFlags() []cli.Flag {
	const gpus, box, how, mine = "GPUs and price:", "The task:", "Finding a worker:", "This side:"
	text := func(category, name, usage string, aliases ...string) cli.Flag {
		return &cli.StringFlag{Category: category, Name: name, Usage: usage, Aliases: aliases}
	}
	list := func(category, name, usage string, aliases ...string) cli.Flag {
		return &cli.StringSliceFlag{Category: category, Name: name, Usage: usage, Aliases: aliases, KeepSpace: true}
	}
	yes := func(category, name, usage string, aliases ...string) cli.Flag {
		return &cli.BoolFlag{Category: category, Name: name, Usage: usage, Aliases: aliases, DisableDefaultText: true}
	}
	return []cli.Flag{
		text(gpus, "gpu", "`NUMBER` of GPUs (default: 1)"),
		text(gpus, "vram", "at least `SIZE` of memory on each, such as 24GiB"),
		text(gpus, "model", "this `MODEL` only, or one of several: rtx-4090,l40s"),
		text(gpus, "compute", "compute capability of each, at least `X.Y`, such as 8.9"),
		text(gpus, "driver", "a driver of at least this `VERSION`, such as 580"),
		text(gpus, "cuda", "a driver that runs at least this `VERSION` of CUDA, such as 12.8"),
		yes(gpus, "nvlink", "all of them linked by NVLink"),
		yes(gpus, "exclusive", "the machine for this job alone: --gpu is all that it lends"),
		text(gpus, "mig", "slices of this `PROFILE` instead of whole GPUs, such as 1g.10gb"),
		text(gpus, "max-price", "at most `CREDITS` per GPU-hour (default: 0.50)"),
		yes(gpus, "simulated", "accept simulated GPUs, to try things out"),
		list(box, "volume", "`DIR:/path[:ro]`, FILE:/path, https://…[@sha256:…]:/path or sha256:…:/path[:ro] is copied to the worker; what the task writes there does not come back; repeatable", "v"),
		list(box, "output", "`/path:DIR` comes back into a new DIR when the task has ended; repeatable", "o"),
		list(mine, "publish", "`[LOCAL:]REMOTE` opens port REMOTE of the task at 127.0.0.1:LOCAL while this command runs; repeatable", "p"),
		list(box, "env", "`NAME=value`, or NAME for this shell's value; repeatable", "e"),
		text(box, "workdir", "working `DIR` in the task", "w"),
		text(box, "user", "`USER[:GROUP]` in the task", "u"),
		text(box, "platform", "`OS/ARCH` of the image, and so of the worker (default: linux/amd64)"),
		text(box, "entrypoint", "`PROGRAM` instead of the image's entrypoint"),
		text(box, "name", "`NAME` of the job, for people"),
		text(box, "memory", "`SIZE` of memory, such as 8GiB", "m"),
		text(box, "cpus", "`NUMBER` of cores, such as 4 or 0.5"),
		text(box, "disk", "`SIZE` of its disk: root, outputs, and what it writes over inputs"),
		text(box, "egress", "what it may reach of the internet: `public`, or hosts such as pypi.org,*.pythonhosted.org (default: nothing)"),
		yes(box, "read-only", "a root that cannot be written; outputs, inputs, the image's volumes, /tmp and /dev/shm can"),
		text(box, "timeout", "end the task after `TIME` (exit code 124)"),
		yes(box, "interactive", "give the task standard input", "i"),
		yes(box, "tty", "give the task a terminal: this one", "t"),
		yes(mine, "rm", "forget the job when it has ended: its output is only what was printed, and what -o brought"),
		text(how, "wait", "keep asking for `TIME` when nobody bids"),
		yes(how, "broadcast", "announce to everybody at once, beside asking known workers"),
		text(how, "worker", "ask this `PEER` only: its id, or an address ending in /p2p/ID"),
		text(how, "retries", "run it again, up to `NUMBER` times, when its lease ends without an exit code: the worker vanished, failed or was taken back (default: 0, it runs at most once)"),
		text(how, "interval", "`TIME` between heartbeats (default: 60s)"),
		list(how, "witness", "have the heartbeats attested to by this `PEER`, or by NUMBER connected peers; repeatable (default: none)"),
		yes(how, "stop-disputed", "end the task when the worker's evidence does not fit what is seen here"),
		text(mine, "file", "read the job from `job.yaml`; flags come on top", "f"),
		yes(mine, "dry-run", "print the job as job.yaml and stop"),
		yes(mine, "detach", "print the job's id and leave it running", "d"),
		yes(mine, "quiet", "print nothing but the task's own output", "q"),
		yes(mine, "overwrite", "let outputs replace files in a DIR that is not empty"),
		&cli.StringFlag{Category: mine, Name: "detach-keys", Usage: leaveUsage, Value: usualLeave},
	}
}

// jobOf puts together what job.yaml, the flags and the arguments say.
func jobOf(c *cli.Context, k console) (jobFile, error) {
	j := newJobFile()
	if path := c.String("file"); path != "" {
		var err error
		if j, err = readJobFile(path); err != nil {
			return j, err
		}
	}
	err := parseFlags(c,
		flagValue{"gpu", (*number)(&j.Resources.GPU.Count)}, flagValue{"vram", &j.Resources.GPU.VRAM}, flagValue{"max-price", &j.Price.Max},
		flagValue{"compute", &j.Resources.GPU.Compute}, flagValue{"driver", &j.Resources.GPU.Driver}, flagValue{"cuda", &j.Resources.GPU.CUDA},
		flagValue{"memory", &j.Resources.Memory}, flagValue{"cpus", &j.Resources.CPU}, flagValue{"disk", &j.Resources.Disk}, flagValue{"retries", (*number)(&j.Retries)},
		flagValue{"egress", &j.Egress}, flagValue{"timeout", &j.Timeout}, flagValue{"interval", &j.Heartbeat.Interval})
	if err != nil {
		return j, err
	}
	if err := j.place(c); err != nil {
		return j, err
	}
	override(c, "model", &j.Resources.GPU.Model)
	override(c, "mig", &j.Resources.GPU.MIG)
	override(c, "workdir", &j.Workdir)
	override(c, "user", &j.User)
	override(c, "name", &j.Name)
	override(c, "platform", &j.Platform)
	j.Resources.GPU.Simulated = j.Resources.GPU.Simulated || c.Bool("simulated")
	j.Resources.GPU.NVLink = j.Resources.GPU.NVLink || c.Bool("nvlink")
	j.Resources.GPU.Exclusive = j.Resources.GPU.Exclusive || c.Bool("exclusive")
	j.ReadOnly = j.ReadOnly || c.Bool("read-only")
	j.Stdin = j.Stdin || c.Bool("interactive")
	j.Terminal = j.Terminal || c.Bool("tty")
	if c.IsSet("entrypoint") {
		j.Entrypoint = words{c.String("entrypoint")}
	}
	j.Inputs = append(j.Inputs, c.StringSlice("volume")...)
	j.Outputs = append(j.Outputs, c.StringSlice("output")...)
	for _, text := range c.StringSlice("publish") {
		if err := j.Ports.add(text); err != nil {
			return j, &usageError{fmt.Errorf("-p: %w", err)}
		}
	}
	for _, word := range c.StringSlice("witness") {
		if err := j.Heartbeat.Witnesses.add(word); err != nil {
			return j, &usageError{fmt.Errorf("--witness: %w", err)}
		}
	}
	if c.Bool("stop-disputed") {
		j.Heartbeat.Disputed = disputedStop
	}
	for _, v := range c.StringSlice("env") {
		j.Env = j.Env.with(v, k.getenv)
	}
	if args := c.Args().Slice(); len(args) > 0 {
		j.Image = args[0]
		if len(args) > 1 {
			j.Command = args[1:]
		}
	}
	if j.Image == "" {
		return j, hint(usagef("rigmesh run wants an IMAGE"), "usage: %s", c.Command.UsageText)
	}
	return j, nil
}

func override(c *cli.Context, name string, into *string) {
	if c.IsSet(name) {
		*into = c.String(name)
	}
}

// with sets one variable, in the place of one of its name. NAME alone takes the
// shell's value, and is left out where the shell has none.
func (v variables) with(text string, getenv func(string) string) variables {
	name, _, assigned := strings.Cut(text, "=")
	if !assigned {
		value := getenv(name)
		if value == "" {
			return v
		}
		text = name + "=" + value
	}
	v = slices.DeleteFunc(v, func(old string) bool { return strings.HasPrefix(old, name+"=") })
	return append(v, text)
}

// number is a small whole number as a flag.
type number uint32

// Set reads the number.
func (n *number) Set(text string) error {
	v, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("number %q: want a whole number, such as 1", text)
	}
	*n = number(v)
	return nil
}

// plan is the part of a run that is about this side and the search, not about the job.
type plan struct {
	wait      config.Duration
	broadcast bool
	worker    string
	detach    bool
	quiet     bool
	sit       *sitting // in front of the task; nil: nobody
	explain   bool
	overwrite bool
	forget    bool
}

func planOf(c *cli.Context) (plan, error) {
	p := plan{
		broadcast: c.Bool("broadcast"), worker: c.String("worker"),
		detach: c.Bool("detach"), quiet: c.Bool("quiet"), explain: c.Bool("explain"), overwrite: c.Bool("overwrite"), forget: c.Bool("rm"),
	}
	return p, parseFlags(c, flagValue{"wait", &p.wait})
}
