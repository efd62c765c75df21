package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// console is what a command talks to.
type console struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

// isTerminal says whether somebody looks at a writer, or types at a reader.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colored says whether w takes colours: https://no-color.org.
func (k console) colored(w io.Writer) bool {
	return k.getenv("NO_COLOR") == "" && k.getenv("TERM") != "dumb" && isTerminal(w)
}

// run is the whole program but for the process around it.
func run(ctx context.Context, k console, args []string) error {
	cli.HelpPrinter = printHelp
	app := &cli.App{
		Name:      "rigmesh",
		HelpName:  "rigmesh",
		Usage:     "a peer-to-peer market for GPUs: rent them with run, lend yours with up",
		UsageText: "rigmesh [global flags] COMMAND [flags] [arguments]",
		Description: examples(
			"rigmesh run --gpu 1 --vram 24GiB -v ./data:/data:ro -o /out:./out pytorch/pytorch:2.8 python train.py",
			"rigmesh offers --vram 24GiB --max-price 0.50",
			"sudo rigmesh up --price 0.35"),
		Reader:          k.in,
		Writer:          k.out,
		ErrWriter:       k.err,
		HideVersion:     true,
		HideHelpCommand: true,
		// "-e A=1,2" is one variable, not two.
		DisableSliceFlagSeparator: true,
		UseShortOptionHandling:    true,
		ExitErrHandler:            func(*cli.Context, error) {}, // main decides
		OnUsageError:              func(c *cli.Context, err error, _ bool) error { return flagProblem(c, err) },
		Flags:                     append(globalFlags(), &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}),
		Action:                    func(c *cli.Context) error { return noCommand(c, k) },
	}
	for _, make := range []func(console) *cli.Command{
		runCommand, offersCommand, logsCommand, attachCommand, execCommand, cpCommand, portForwardCommand, statsCommand, freezeCommand, thawCommand, shareCommand, sharesCommand, unshareCommand, rmCommand, stopCommand,
		upCommand, topCommand, pauseCommand, drainCommand, resumeCommand, configCommand, doctorCommand, serviceCommand,
		psCommand, receiptCommand, statusCommand, describeCommand, whyCommand, downCommand, completionCommand, versionCommand,
		nodeCommand, containerdCommand, restoreCardsCommand, completeCommand,
	} {
		if cmd := make(k); cmd != nil {
			app.Commands = append(app.Commands, cmd)
		}
	}
	return explain(app.RunContext(ctx, args))
}

// noCommand is rigmesh without a command that exists.
func noCommand(c *cli.Context, k console) error {
	if c.Bool("version") {
		fmt.Fprintln(k.out, "rigmesh", version)
		return nil
	}
	name := c.Args().First()
	if name == "" || name == "help" {
		return cli.ShowAppHelp(c)
	}
	var known []string
	for _, cmd := range c.App.Commands {
		if !cmd.Hidden {
			known = append(known, cmd.Name)
		}
	}
	return hint(usagef("unknown command %q%s", name, config.DidYouMean(name, known)), "rigmesh --help lists the commands")
}

// globalFlags are taken before the command and after it.
func globalFlags() []cli.Flag {
	const category = "Every command:"
	return []cli.Flag{
		&cli.StringFlag{Name: "data", Category: category, Usage: "the node's data `DIR` [$RIGMESH_DATA]"},
		&cli.StringFlag{Name: "network", Category: category, Usage: "`NAME` of the network [$RIGMESH_NETWORK]"},
		&cli.StringSliceFlag{Name: "bootstrap", Category: category, Usage: "`ADDRESS` of a node to begin with, ending in /p2p/ID; repeatable [$RIGMESH_BOOTSTRAP]"},
		&cli.StringFlag{Name: "psk", Category: category, Usage: "`FILE` with the key of a private network, which nobody without it enters [$RIGMESH_PSK]"},
		&cli.StringFlag{Name: "log-level", Category: category, Usage: "log from this `LEVEL` on: debug, info, warn or error [$RIGMESH_LOG_LEVEL]"},
	}
}

// examples makes the end of a command's help.
func examples(lines ...string) string {
	text := "Examples:"
	for _, l := range lines {
		text += "\n  " + l
	}
	return text
}

// terminalWidth is how many columns w has; 80 when it does not say.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}
