package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func upCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:     "up",
		Usage:    "lend this machine's GPUs",
		Category: categoryLend,
		Description: "Runs in the foreground. The first Ctrl-C finishes what is urgent and stops, the second stops at once;\n" +
			"tasks of others go on and are found again by the next rigmesh up.\n\n" +
			examples("sudo rigmesh up --price 0.35",
				"sudo rigmesh up --simulate-gpu rtx-4090:2 --listen /ip4/127.0.0.1/tcp/4001"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "price", Usage: "bid no less than `CREDITS` per GPU-hour (default: 0.20)"},
			&cli.StringFlag{Name: "simulate-gpu", Usage: "make up `GPUS`, such as rtx-4090:2, h100-sxm:1g.10gb:7 (MIG slices), flaky:rtx-4090 (fails now and then), or a machine: home, eight-h100, mig-h100, mining-rig; offers say that they are simulated"},
			&cli.StringSliceFlag{Name: "listen", Usage: "`ADDRESS` such as /ip4/0.0.0.0/tcp/4001; repeatable (default: every interface, a free port)"},
			mdnsFlag(), portMapFlag(),
			&cli.StringFlag{Name: "relay", Usage: "carry `SIZE` at most each way on a connection of two others, when strangers reach this machine; 0: relay nothing (default: 16MiB)"},
			&cli.StringFlag{Name: "upload-max", Usage: "give others images and files at `SIZE` a second at most, such as 2MiB; 0: no bound (default: 0)"},
			&cli.StringFlag{Name: "containerd", Usage: "run jobs in the system's containerd at `SOCKET` (default: one of our own)"},
			&cli.StringFlag{Name: "egress", Usage: "what a job may reach of the internet: none, `hosts` that it lists, or public (default: none)"},
			&cli.StringFlag{Name: "max-duration", Usage: "the longest lease, as `TIME` (default: 24h)"},
			&cli.StringFlag{Name: "metrics", Usage: "serve Prometheus metrics at `ADDRESS` of this machine, such as 127.0.0.1:9400"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of this machine, for you"},
		},
		Action: func(c *cli.Context) error { return up(c, k) },
	}, arguments{0, 0})
}

func up(c *cli.Context, k console) error {
	if err := mayLend(); err != nil {
		return err
	}
	cfg, err := nodeSettings(c, k)
	if err != nil {
		return err
	}
	cfg.Worker = true
	parts := node.Parts{
		Guard: []string{restoreCards, "--data", cfg.DataDir, "--network", cfg.Network, "--simulate-gpu", cfg.SimulateGPU},
		Reload: func() (config.Config, error) {
			cfg, err := nodeSettings(c, k)
			cfg.Worker = true
			return cfg, err
		},
	}
	return serve(c.Context, k, cfg, parts, func(st *controlv1.StatusResponse) {
		describe(k, st)
		if len(st.Addresses) > 0 {
			fmt.Fprintf(k.out, "\nOthers find this node with --bootstrap %s\n", st.Addresses[0])
		}
	})
}

func mdnsFlag() cli.Flag {
	return &cli.BoolFlag{Name: "mdns", Value: true, Usage: "look for nodes on the local network; --mdns=false does not"}
}

func portMapFlag() cli.Flag {
	return &cli.BoolFlag{Name: "port-map", Value: true, Usage: "have the router forward our ports (UPnP, NAT-PMP); --port-map=false does not"}
}

// nodeSettings are the settings of a node that runs in this process.
func nodeSettings(c *cli.Context, k console) (config.Config, error) {
	cfg, err := settings(c, k)
	if err != nil {
		return cfg, err
	}
	err = parseFlags(c, flagValue{"price", (*config.Price)(&cfg.Price)},
		flagValue{"egress", &cfg.Egress},
		flagValue{"max-duration", (*config.Duration)(&cfg.MaxDuration)},
		flagValue{"relay", (*config.Bytes)(&cfg.Reach.RelayBytes)},
		flagValue{"upload-max", (*config.Bytes)(&cfg.Reach.UploadMax)},
		flagValue{"idle-exit", (*config.Duration)(&cfg.IdleExit)})
	if err != nil {
		return cfg, err
	}
	override(c, "containerd", &cfg.Containerd)
	override(c, "simulate-gpu", &cfg.SimulateGPU)
	override(c, "name", &cfg.Name)
	override(c, "metrics", &cfg.Metrics)
	if c.IsSet("mdns") {
		cfg.Reach.MDNS = c.Bool("mdns")
	}
	if c.IsSet("port-map") {
		cfg.Reach.PortMap = c.Bool("port-map")
	}
	if c.IsSet("listen") {
		cfg.Listen = c.StringSlice("listen")
	}
	if err := cfg.Validate(); err != nil {
		return cfg, &usageError{err}
	}
	return cfg, nil
}

// serve is the node, in this process, until it is told to stop. ready is told what the node
// is once its socket answers.
func serve(ctx context.Context, k console, cfg config.Config, parts node.Parts, ready func(*controlv1.StatusResponse)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	running := make(chan error, 1)
	parts.Log = newLog(k.err, cfg)
	go func() { running <- startNode(ctx, cfg, parts) }()
	answering := make(chan struct{})
	go func() {
		defer close(answering)
		if st := ownStatus(ctx, cfg.DataDir); st != nil {
			ready(st)
		}
	}()
	for n := 0; ; n++ {
		select {
		case err := <-running:
			cancel()
			<-answering
			return err
		case <-signals:
			if n > 0 {
				return errors.New("stopped at once; rigmesh up finds the tasks that still run")
			}
			cancel()
		}
	}
}

// ownStatus asks this process's own node what it is, as soon as it answers; nil when another
// process's does, or none.
func ownStatus(ctx context.Context, dataDir string) *controlv1.StatusResponse {
	client, err := control.Await(ctx, dataDir)
	if err != nil {
		return nil
	}
	defer client.Close()
	st, err := client.Status(ctx)
	if err != nil || int(st.Pid) != os.Getpid() {
		return nil
	}
	return st
}
