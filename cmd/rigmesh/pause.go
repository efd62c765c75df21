package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

func pauseCommand(k console) *cli.Command {
	return wordCommand(k, "pause", controlv1.Word_WORD_PAUSE, "take your GPUs back, after notice, and lend none",
		"Leases that run are told first, for as long as lend.notice says; their tasks are warned with SIGUSR1. It counts until\n"+
			"rigmesh resume, also after a restart.")
}

func drainCommand(k console) *cli.Command {
	return wordCommand(k, "drain", controlv1.Word_WORD_DRAIN, "take no new lease; those that run go on",
		"It counts until rigmesh resume, also after a restart. rigmesh down --drain stops the node when the last lease has ended.")
}

func resumeCommand(k console) *cli.Command {
	return wordCommand(k, "resume", controlv1.Word_WORD_RESUME, "lend again, after pause or drain", "Your settings count as before: rigmesh config list.")
}

func wordCommand(k console, name string, word controlv1.Word, usage, more string) *cli.Command {
	return command(&cli.Command{
		Name: name, Usage: usage, Category: categoryLend,
		Description: more + "\n\n" + examples("rigmesh "+name),
		Action: func(c *cli.Context) error {
			client, err := dial(c, k)
			if err != nil {
				return err
			}
			leases, err := client.Say(c.Context, word)
			if err != nil {
				return err
			}
			fmt.Fprintln(k.out, saidSentence(word, leases))
			return nil
		},
	}, arguments{0, 0})
}

// saidSentence says what a word leads to.
func saidSentence(word controlv1.Word, leases int) string {
	running := several(uint32(leases), "lease")
	switch word {
	case controlv1.Word_WORD_PAUSE:
		if leases > 0 {
			return "paused: " + running + " told to end, and no device is lent"
		}
		return "paused: no device is lent"
	case controlv1.Word_WORD_DRAIN:
		return "draining: no new lease; " + running + " going on"
	}
	return "lending again, as your settings say"
}
