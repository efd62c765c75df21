package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/urfave/cli/v2"
)

const unitPath = "/etc/systemd/system/rigmesh.service"

func serviceCommand(k console) *cli.Command {
	cmd := command(&cli.Command{
		Name: "service", Usage: "run rigmesh up as a systemd service", Category: categoryLend,
		UsageText:   "rigmesh service COMMAND [flags]",
		Description: examples("sudo rigmesh service install", "rigmesh service install --print"),
		Action:      noSubcommand,
	}, anyNumber)
	cmd.Subcommands = []*cli.Command{
		command(&cli.Command{
			Name: "install", Usage: "write the unit and start it now and at every boot",
			Description: "Settings come from config.yaml: rigmesh config set price.floor 0.35. The flags that every command has\n" +
				"are written into the unit.\n\n" +
				examples("sudo rigmesh service install", "sudo rigmesh service install --psk net.psk --network lab", "rigmesh service install --print"),
			Flags:  []cli.Flag{&cli.BoolFlag{Name: "print", Usage: "print the unit and change nothing", DisableDefaultText: true}},
			Action: func(c *cli.Context) error { return serviceInstall(c, k) },
		}, arguments{0, 0}),
		command(&cli.Command{
			Name: "remove", Usage: "stop the service and delete the unit; data stays",
			Description: examples("sudo rigmesh service remove"),
			Action:      func(c *cli.Context) error { return serviceRemove(c, k) },
		}, arguments{0, 0}),
	}
	return cmd
}

func serviceInstall(c *cli.Context, k console) error {
	cfg, err := settings(c, k)
	if err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return &usageError{err}
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	text := unit(exe, cfg.DataDir, serviceFlags(c, cfg)...)
	if c.Bool("print") {
		fmt.Fprint(k.out, text)
		return nil
	}
	if err := haveSystemd(); err != nil {
		return err
	}
	if err := os.WriteFile(unitPath, []byte(text), 0o644); err != nil {
		return hint(fmt.Errorf("write the unit: %w", err), "sudo rigmesh service install")
	}
	return systemctl(c, k, []string{"daemon-reload"}, []string{"enable", "--now", "rigmesh.service"})
}

// serviceFlags are the flags of every command that were given to this one, for the service to
// have too. What config.yaml says stays there, where it can be changed.
func serviceFlags(c *cli.Context, cfg config.Config) (flags []setFlag) {
	add := func(name string, values ...string) {
		if !slices.ContainsFunc(c.Lineage(), func(at *cli.Context) bool { return at.IsSet(name) }) {
			return
		}
		for _, v := range values {
			flags = append(flags, setFlag{name, v})
		}
	}
	add("network", cfg.Network)
	add("bootstrap", cfg.Bootstrap...)
	add("psk", cfg.Reach.PSK)
	add("log-level", cfg.LogLevel)
	return flags
}

// setFlag is a flag and its value.
type setFlag struct{ name, value string }

// inUnit writes the flag as systemd reads it back.
func (f setFlag) inUnit() string {
	return " --" + f.name + ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$").Replace(f.value) + `"`
}

func serviceRemove(c *cli.Context, k console) error {
	if err := haveSystemd(); err != nil {
		return err
	}
	if err := systemctl(c, k, []string{"disable", "--now", "rigmesh.service"}); err != nil {
		return err
	}
	if err := os.Remove(unitPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete the unit: %w", err)
	}
	return systemctl(c, k, []string{"daemon-reload"})
}

func haveSystemd() error {
	if !exists("/run/systemd/system") {
		return hint(errors.New("this machine does not run systemd"), "rigmesh service install --print shows the unit; start rigmesh up with what this machine has")
	}
	return nil
}

func systemctl(c *cli.Context, k console, calls ...[]string) error {
	for _, args := range calls {
		cmd := exec.CommandContext(c.Context, "systemctl", args...)
		cmd.Stdout, cmd.Stderr = k.out, k.err
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("systemctl %s: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}

// unit is the service. Only the node itself is ended with it: tasks of others run
// on under containerd, and the process that puts cards' settings back must outlive it.
// Nothing here gives the service mounts of its own, such as Protect…= or Private…=: each start
// would have others, a started node's mounts would be hidden from the containerd of the node
// before it, and a kernel file that is covered keeps every task from having a /proc. Nor does
// it filter system calls, since tasks inherit the filter: they have one of their own.
func unit(exe, dataDir string, more ...setFlag) string {
	var flags strings.Builder
	for _, f := range append([]setFlag{{"data", dataDir}}, more...) {
		flags.WriteString(f.inUnit())
	}
	return `[Unit]
Description=rigmesh: lend this machine's GPUs
Documentation=https://github.com/rigmesh/rigmesh
# A network may come later, or never: the node listens, and keeps trying to reach others.
After=network.target nvidia-persistenced.service

[Service]
Type=exec
ExecStart="` + exe + `" up` + flags.String() + `
Restart=on-failure
RestartSec=5
TimeoutStopSec=60
# Tasks outlive a restart of the node, and so does what puts the cards' settings back.
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitCORE=0
TasksMax=infinity
OOMScoreAdjust=-100
KeyringMode=private

[Install]
WantedBy=multi-user.target
`
}
