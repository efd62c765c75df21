package main

import (
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/urfave/cli/v2"
)

// arguments says how many a command takes.
type arguments struct{ min, max int }

// command finishes a subcommand: global flags, errors in our words, and arguments that
// are checked before anything is done. urfave/cli stops reading flags at the first
// argument and says nothing; here that is an error.
func command(cmd *cli.Command, args arguments) *cli.Command {
	cmd.HideHelpCommand = true
	cmd.OnUsageError = func(c *cli.Context, err error, _ bool) error { return flagProblem(c, err) }
	cmd.Flags = append(cmd.Flags, globalFlags()...)
	action := cmd.Action
	cmd.Action = func(c *cli.Context) error {
		if err := checkArguments(c, args); err != nil {
			return err
		}
		return action(c)
	}
	return cmd
}

// anyNumber is for a command whose arguments belong to somebody else.
var anyNumber = arguments{0, -1}

func checkArguments(c *cli.Context, want arguments) error {
	if want.max < 0 {
		return nil
	}
	given := c.Args().Slice()
	usage := strings.TrimSpace(c.Command.HelpName + " [flags] " + c.Command.ArgsUsage)
	for i, a := range given {
		if i > 0 && len(a) > 1 && strings.HasPrefix(a, "-") {
			return hint(usagef("flag %s comes after the argument %q and would be ignored", a, given[0]),
				"flags go first: %s", usage)
		}
	}
	if len(given) < want.min {
		return hint(usagef("%s wants %s", c.Command.HelpName, c.Command.ArgsUsage), "usage: %s", usage)
	}
	if len(given) > want.max {
		return hint(usagef("unexpected argument %q", given[want.max]), "usage: %s", usage)
	}
	return nil
}

// global is the value of a global flag, wherever it was typed, or "".
func global(c *cli.Context, name string) string {
	for _, at := range c.Lineage() {
		if at.IsSet(name) {
			return at.String(name)
		}
	}
	return ""
}

// globalList is global for a repeatable flag.
func globalList(c *cli.Context, name string) []string {
	var all []string
	for _, at := range c.Lineage() {
		if at.IsSet(name) {
			all = append(all, at.StringSlice(name)...)
		}
	}
	return all
}

// noSubcommand is a group of commands without one that exists.
func noSubcommand(c *cli.Context) error {
	var known []string
	for _, sub := range c.Command.Subcommands {
		known = append(known, sub.Name)
	}
	hints := fmt.Sprintf("%s --help says what each does", c.Command.HelpName)
	if name := c.Args().First(); name != "" {
		return hint(usagef("unknown command %q of %s%s", name, c.Command.HelpName, config.DidYouMean(name, known)), "%s", hints)
	}
	return hint(usagef("%s wants one of: %s", c.Command.HelpName, strings.Join(known, ", ")), "%s", hints)
}
