package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// completeWithin bounds asking the node for its jobs: somebody waits at a prompt.
const completeWithin = 500 * time.Millisecond

// completeCommand is what a shell's script asks when somebody presses Tab.
func completeCommand(k console) *cli.Command {
	return &cli.Command{
		Name: "complete", Hidden: true, SkipFlagParsing: true, HideHelp: true,
		Action: func(c *cli.Context) error {
			if words := c.Args().Slice(); len(words) > 0 {
				for _, s := range suggest(c.App, words, func() []suggestion { return knownJobs(c, k) }) {
					fmt.Fprintf(k.out, "%s\t%s\n", s.word, s.about)
				}
			}
			return nil
		},
	}
}

// suggestion is a word that may be meant, and what it is.
type suggestion struct{ word, about string }

// suggest is what the last of some words may become: the name of a command or a flag, or a
// job where one is wanted. Nothing at all: a file, or something that only the person knows.
func suggest(app *cli.App, words []string, jobs func() []suggestion) (found []suggestion) {
	commands, flags, wants, given := app.Commands, app.Flags, "", 0
	typed, last := words[:len(words)-1], words[len(words)-1]
	for i := 0; i < len(typed); i++ {
		word := typed[i]
		sub := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		switch {
		case given > 0: // flags end at the first argument
		case strings.HasPrefix(word, "-"):
			if takesNext(flags, word) {
				if i++; i == len(typed) {
					return nil // it is a flag's value
				}
			}
			continue
		case sub >= 0:
			commands, flags, wants = commands[sub].Subcommands, commands[sub].Flags, commands[sub].ArgsUsage
			continue
		}
		given++
	}
	switch {
	case given > 0 && !strings.HasSuffix(wants, "JOB…") && !strings.HasSuffix(wants, "JOB…]"):
	case strings.HasPrefix(last, "-"):
		found = flagNames(flags, last)
	case len(commands) > 0:
		found = commandNames(commands)
	case strings.HasPrefix(strings.TrimLeft(wants, "["), "JOB"):
		found = jobs()
	}
	return slices.DeleteFunc(found, func(s suggestion) bool { return !strings.HasPrefix(s.word, last) })
}

// takesNext says whether the word after a flag is its value.
func takesNext(flags []cli.Flag, word string) bool {
	if strings.Contains(word, "=") {
		return false
	}
	name := strings.TrimLeft(word, "-")
	if !strings.HasPrefix(word, "--") && name != "" {
		name = name[len(name)-1:] // of -it the last one
	}
	for _, f := range flags {
		if d, ok := f.(cli.DocGenerationFlag); ok && slices.Contains(f.Names(), name) {
			return d.TakesValue()
		}
	}
	return false
}

// flagNames are the flags that begin as something does: long ones, or all after a lone "-".
func flagNames(flags []cli.Flag, begun string) (found []suggestion) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		about := strings.ReplaceAll(d.GetUsage(), "`", "")
		for _, name := range f.Names() {
			switch {
			case len(name) > 1:
				found = append(found, suggestion{"--" + name, about})
			case begun == "-":
				found = append(found, suggestion{"-" + name, about})
			}
		}
	}
	return found
}

func commandNames(commands []*cli.Command) (found []suggestion) {
	for _, c := range commands {
		if !c.Hidden {
			found = append(found, suggestion{c.Name, c.Usage})
		}
	}
	return found
}

// knownJobs are those of the node that runs; of one that does not answer, none.
func knownJobs(c *cli.Context, k console) (found []suggestion) {
	ctx, cancel := context.WithTimeout(c.Context, completeWithin)
	defer cancel()
	c.Context = ctx
	client, err := dial(c, k)
	if err != nil {
		return nil
	}
	defer client.Close()
	jobs, err := client.Jobs(ctx, true)
	if err != nil {
		return nil
	}
	for _, j := range jobs {
		if j.JobId != "" {
			found = append(found, suggestion{short(j.JobId), strings.Join(strings.Fields(j.State+" "+j.Name+" "+j.Image), " ")})
		}
	}
	return found
}
