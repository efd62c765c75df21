package main

import (
	"testing"

	"github.com/urfave/cli/v2"
)

func TestJobsAreSuggestedWhereOneIsWanted(t *testing.T) {
	k := console{}
	app := &cli.App{Flags: globalFlags(), Commands: []*cli.Command{attachCommand(k), rmCommand(k), execCommand(k), statsCommand(k), runCommand(k)}}
	jobs := func() []suggestion { return []suggestion{{"3f2a0000", "running"}, {"77aa0000", "ended"}} }
	for _, c := range []struct {
		words []string
		want  int
	}{
		{[]string{"attach", ""}, 2},
		{[]string{"attach", "3f"}, 1},
		{[]string{"--data", "x", "attach", "-q", "7"}, 1},
		{[]string{"attach", "3f2a0000", ""}, 0},
		{[]string{"rm", "3f2a0000", ""}, 2},
		{[]string{"stats", "3f2a0000", ""}, 2},
		{[]string{"exec", "-it", "-e", "A=1", ""}, 2},
		{[]string{"exec", "-it", "-e", ""}, 0},
		{[]string{"exec", "--env=A=1", ""}, 2},
		{[]string{"exec", "3f2a0000", ""}, 0},
		{[]string{"run", ""}, 0},
		{[]string{""}, 5},
	} {
		if got := suggest(app, c.words, jobs); len(got) != c.want {
			t.Errorf("%q: %v, want %d", c.words, got, c.want)
		}
	}
}
