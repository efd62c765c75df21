package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p"
	"github.com/urfave/cli/v2"
)

// settings gives the configuration that a command runs under: defaults, file,
// environment, global flags; not validated yet, because commands add flags of their own.
func settings(c *cli.Context, k console) (config.Config, error) {
	dir, err := dataDir(c, k)
	if err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Load(dir, k.getenv)
	if err != nil {
		return config.Config{}, &usageError{err}
	}
	if v := global(c, "network"); v != "" {
		cfg.Network = v
	}
	if v := globalList(c, "bootstrap"); v != nil {
		cfg.Bootstrap = v
	}
	if v := global(c, "psk"); v != "" {
		if cfg.Reach.PSK, err = filepath.Abs(v); err != nil {
			return config.Config{}, err
		}
	}
	if v := global(c, "log-level"); v != "" {
		cfg.LogLevel = v
	}
	return cfg, nil
}

// dataDir is --data, $RIGMESH_DATA or this user's own, as an absolute path.
func dataDir(c *cli.Context, k console) (string, error) {
	dir := global(c, "data")
	if dir == "" {
		dir = k.getenv("RIGMESH_DATA")
	}
	if dir == "" {
		return config.DefaultDataDir()
	}
	return filepath.Abs(dir)
}

// dial connects to the node that runs already, or says that none does.
func dial(c *cli.Context, k console) (*control.Client, error) {
	dir, err := dataDir(c, k)
	if err != nil {
		return nil, err
	}
	return control.Dial(c.Context, dir)
}

// connect finds the node of the data directory, or starts one in the background.
func connect(ctx context.Context, c *cli.Context, k console) (*control.Client, error) {
	cfg, err := settings(c, k)
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, &usageError{err}
	}
	args := []string{"node", "--requester", "--idle-exit", "10m", "--data", cfg.DataDir, "--network", cfg.Network, "--log-level", cfg.LogLevel}
	for _, b := range cfg.Bootstrap {
		args = append(args, "--bootstrap", b)
	}
	if cfg.Reach.PSK != "" {
		args = append(args, "--psk", cfg.Reach.PSK)
	}
	client, err := control.EnsureRunning(ctx, cfg.DataDir, control.Starter{Args: args})
	if err != nil {
		return nil, err
	}
	if err := sameNetwork(ctx, client, cfg); err != nil {
		client.Close()
		return nil, err
	}
	if len(cfg.Bootstrap) > 0 { // a node that runs already does not know what was typed here
		if err := client.Join(ctx, cfg.Bootstrap); err != nil {
			client.Close()
			return nil, err
		}
	}
	return client, nil
}

// sameNetwork refuses a node that runs already and is not where this command is to be:
// nothing that is meant for a private network may leave through an open one.
func sameNetwork(ctx context.Context, client *control.Client, cfg config.Config) error {
	const remedy = "stop it with rigmesh down, or use another data directory with --data"
	st, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if st.Network != cfg.Network {
		return hint(fmt.Errorf("the node on %s is on network %q, not %q", cfg.DataDir, st.Network, cfg.Network), remedy)
	}
	if cfg.Reach.PSK == "" {
		return nil
	}
	reach, err := client.Reach(ctx)
	if err != nil {
		return err
	}
	if !reach.PrivateNetwork {
		return hint(fmt.Errorf("the node on %s runs without the key of a private network, and so not with %s", cfg.DataDir, cfg.Reach.PSK), remedy)
	}
	if len(reach.PrivateNetworkTag) == 0 {
		return nil // an older one, which does not say with which key
	}
	key, err := p2p.ReadPSK(cfg.Reach.PSK)
	if err != nil {
		return err
	}
	if !bytes.Equal(reach.PrivateNetworkTag, p2p.PSKTag(key)) {
		return hint(fmt.Errorf("the node on %s runs with the key of another private network than %s", cfg.DataDir, cfg.Reach.PSK), remedy)
	}
	return nil
}

// short is the part of a hexadecimal id that people read.
func short(id string) string { return id[:min(8, len(id))] }

// shortPeer is the part of a peer id that differs from others': its end.
func shortPeer(id string) string {
	id = strings.TrimSpace(id)
	return id[max(0, len(id)-8):]
}
