package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
)

func configCommand(k console) *cli.Command {
	cmd := command(&cli.Command{
		Name:      "config",
		Usage:     "see and change the settings of this machine's node",
		Category:  categoryLend,
		UsageText: "rigmesh config COMMAND [flags] [arguments]",
		Description: "What is changed about lending counts at once, also for a node that runs; the rest at its next start.\n" +
			"What is shown is what that node goes by, also where it was started with flags.\n" +
			"A device is named by its UUID, its number from 0 on, or its model: device.rtx-3090.price.\n\n" +
			examples("rigmesh config list",
				"rigmesh config set price.floor 0.35",
				"rigmesh config set lend.quiet \"mon-fri 22:00-07:00\" \"sun\"",
				"rigmesh config set device.0.watts 250",
				"rigmesh config set lend.idle-only true"),
		Action: noSubcommand,
	}, anyNumber)
	cmd.Subcommands = []*cli.Command{
		command(&cli.Command{
			Name: "get", Usage: "print one setting", ArgsUsage: "KEY",
			Description: examples("rigmesh config get price.floor", "rigmesh config get device.0.price"),
			Action:      func(c *cli.Context) error { return configGet(c, k) },
		}, arguments{1, 1}),
		command(&cli.Command{
			Name: "set", Usage: "change one setting", ArgsUsage: "KEY VALUE…",
			Description: examples("rigmesh config set lend.temperature 80", "rigmesh config set lend.hours \"18:00-08:00\" \"sat,sun\""),
			Action:      func(c *cli.Context) error { return configSet(c, k, c.Args().Tail()) },
		}, anyNumber),
		command(&cli.Command{
			Name: "unset", Usage: "take one setting out of config.yaml, so that its default counts", ArgsUsage: "KEY",
			Description: examples("rigmesh config unset lend.watts"),
			Action:      func(c *cli.Context) error { return configSet(c, k, nil) },
		}, arguments{1, 1}),
		command(&cli.Command{
			Name: "list", Usage: "print every setting",
			Description: examples("rigmesh config list", "rigmesh config list --json | jq '.\"price.floor\"'"),
			Flags:       []cli.Flag{jsonFlag()},
			Action:      func(c *cli.Context) error { return configList(c, k) },
		}, arguments{0, 0}),
		command(&cli.Command{
			Name: "edit", Usage: "open config.yaml in $EDITOR, and check it afterwards",
			Description: examples("EDITOR=nano rigmesh config edit"),
			Action:      func(c *cli.Context) error { return configEdit(c, k) },
		}, arguments{0, 0}),
	}
	return cmd
}

func configGet(c *cli.Context, k console) error {
	key, err := config.FindKey(c.Args().First())
	if err != nil {
		return hint(&usageError{err}, "rigmesh config list shows them all")
	}
	all, err := readSettings(c, k)
	if err != nil {
		return err
	}
	fmt.Fprintln(k.out, all.value(key.Name))
	return nil
}

func configList(c *cli.Context, k console) error {
	all, err := readSettings(c, k)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		values := map[string]string{}
		for _, name := range all.names() {
			values[name] = all.value(name)
		}
		return printJSON(k.out, values)
	}
	t := newTable(k.out, "SETTING", "VALUE", "COUNTS", "WHAT IT IS")
	for _, name := range all.names() {
		key, err := config.FindKey(name)
		if err != nil {
			return err
		}
		t.row(name, all.value(name), all.counts(key), key.Help)
	}
	return t.flush()
}

// settingsNow are the settings here, and those that the node goes by which runs here.
type settingsNow struct {
	here [][2]string // of config.yaml and the environment
	node [][2]string // nil when none runs
}

func readSettings(c *cli.Context, k console) (settingsNow, error) {
	cfg, err := settings(c, k)
	if err != nil {
		return settingsNow{}, err
	}
	all := settingsNow{here: config.Settings(cfg)}
	client, err := control.Dial(c.Context, cfg.DataDir)
	if errors.Is(err, control.ErrNotRunning) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	defer client.Close()
	all.node, err = client.Settings(c.Context)
	return all, err
}

// names are those of all settings, of the node's single devices and then of those only here.
func (s settingsNow) names() []string {
	var out []string
	for _, v := range append(slices.Clone(s.node), s.here...) {
		if !slices.Contains(out, v[0]) {
			out = append(out, v[0])
		}
	}
	return out
}

// value is what counts now.
func (s settingsNow) value(name string) string {
	if s.node != nil {
		return valueOf(s.node, name)
	}
	return valueOf(s.here, name)
}

// counts says when a change counts, and what stands in the way of one.
func (s settingsNow) counts(key config.Key) string {
	here := valueOf(s.here, key.Name)
	switch {
	case s.node != nil && here != s.value(key.Name) && key.Live:
		return fmt.Sprintf("as the node was started with; set here: %q", here)
	case s.node != nil && here != s.value(key.Name):
		return fmt.Sprintf("until the next start; set here: %q", here)
	case key.Live:
		return "at once"
	}
	return "at the next start"
}

func valueOf(all [][2]string, name string) string {
	for _, v := range all {
		if v[0] == name {
			return v[1]
		}
	}
	return ""
}

func configSet(c *cli.Context, k console, values []string) error {
	name := c.Args().First()
	if name == "" || c.Command.Name == "set" && len(values) == 0 {
		return hint(usagef("%s wants %s", c.Command.HelpName, c.Command.ArgsUsage), "rigmesh config list shows the keys; rigmesh config unset KEY takes one out")
	}
	key, err := config.FindKey(name)
	if err != nil {
		return hint(&usageError{err}, "rigmesh config list shows them all")
	}
	f, err := openConfig(c, k)
	if err != nil {
		return err
	}
	text, err := config.Set(f.text, name, values)
	if err != nil {
		return &usageError{err}
	}
	if err := f.put(c.Context, text); err != nil {
		return err
	}
	f.say(k, key.Live)
	return nil
}

// configFile is config.yaml, held by the node that runs or by nobody.
type configFile struct {
	dir  string
	text []byte
	node *control.Client // nil when none runs
}

func openConfig(c *cli.Context, k console) (configFile, error) {
	dir, err := dataDir(c, k)
	if err != nil {
		return configFile{}, err
	}
	f := configFile{dir: dir}
	f.node, err = control.Dial(c.Context, dir)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		f.text, err = config.ReadFile(dir)
	case err == nil:
		f.text, err = f.node.Config(c.Context)
	}
	return f, err
}

func (f configFile) put(ctx context.Context, text []byte) error {
	if f.node != nil {
		return f.node.PutConfig(ctx, text)
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	return journal.WriteFile(config.FilePath(f.dir), text)
}

// say tells when a change counts.
func (f configFile) say(k console, live bool) {
	switch {
	case f.node == nil:
		fmt.Fprintf(k.err, "rigmesh: written to %s; no node runs on it now\n", config.FilePath(f.dir))
	case live:
		fmt.Fprintln(k.err, "rigmesh: the node goes by it now, but for what it was started with as a flag")
	default:
		fmt.Fprintln(k.err, "rigmesh: it counts when the node is started next")
	}
}

func configEdit(c *cli.Context, k console) error {
	f, err := openConfig(c, k)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "rigmesh-config-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, f.text, 0o600); err != nil {
		return err
	}
	if err := runEditor(c.Context, k, path); err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.Equal(text, f.text) {
		fmt.Fprintln(k.err, "rigmesh: nothing changed")
		return nil
	}
	if err := config.Check(text); err != nil {
		return hint(&usageError{err}, "nothing was changed; edit again")
	}
	if err := f.put(c.Context, text); err != nil {
		return err
	}
	f.say(k, true)
	return nil
}

func runEditor(ctx context.Context, k console, path string) error {
	editor := orElse(k.getenv("VISUAL"), orElse(k.getenv("EDITOR"), "vi"))
	words := strings.Fields(editor) // "code --wait"
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], path)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = k.in, k.out, k.err
	if err := cmd.Run(); err != nil {
		return hint(fmt.Errorf("run %s: %w", editor, err), "EDITOR names another editor")
	}
	return nil
}
