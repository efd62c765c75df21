//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/receipt"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/testnet/lab"
)

// market is a worker with this machine's cards, and a requester beside it.
type market struct {
	*lab.Lab
	address string
}

// open starts the worker, which lends every card.
func (c *check) open(ctx context.Context) (*market, error) {
	l, err := lab.New(c.rigmesh)
	if err != nil {
		return nil, err
	}
	m := &market{Lab: l}
	image, err := os.ReadFile(c.image)
	if err != nil {
		return m, err
	}
	if err := os.WriteFile(l.Path("load.tar"), image, 0o644); err != nil {
		return m, err
	}
	p, err := l.Start("worker", "up", "--data", "worker", "--listen", "/ip4/127.0.0.1/tcp/0", "--price", "0.20")
	if err != nil {
		return m, err
	}
	ready, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	status, err := l.Ready(ready, p, "worker")
	if err != nil {
		return m, fmt.Errorf("the worker does not come up: %w: %s", err, p.LastWords())
	}
	m.address = status.Addresses[0]
	return m, nil
}

// close stops and clears everything.
func (m *market) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	return errors.Join(m.Stop(ctx), m.Clear())
}

// inMarket opens a market for f.
func (c *check) inMarket(ctx context.Context, f func(*market) (string, error)) (seen string, err error) {
	m, err := c.open(ctx)
	if m != nil {
		defer func() { err = errors.Join(err, m.close()) }()
	}
	if err != nil {
		return "", err
	}
	return f(m)
}

// run runs a program of the image as a job and gives what it printed.
func (m *market) run(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"run", "--data", "requester", "--bootstrap", m.address, "--broadcast", "--gpu", "1", "--interval", "1s", "oci-archive:load.tar"}, args...)
	cmd := m.Command(ctx, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("rigmesh %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(problems.Bytes()))
	}
	return out.String(), nil
}

// lastEvidence is what the last beat of the newest receipt says of the devices.
func (m *market) lastEvidence(ctx context.Context) (*leasev1.DeviceEvidence, error) {
	out, err := m.Command(ctx, "receipt", "list", "--data", "requester", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("list receipts: %w", err)
	}
	var lines []struct{ Lease, Ended string }
	if err := json.Unmarshal(out, &lines); err != nil || len(lines) == 0 {
		return nil, fmt.Errorf("no receipt: %s", out)
	}
	newest := lines[0]
	for _, line := range lines {
		if line.Ended > newest.Ended {
			newest = line
		}
	}
	file := m.Path("last.receipt")
	if out, err := m.Command(ctx, "receipt", "export", "--data", "requester", newest.Lease, file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("export a receipt: %w: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r, err := receipt.Parse(b)
	if err != nil {
		return nil, err
	}
	var beat leasev1.Beat
	if err := proto.Unmarshal(r.LastBeat.GetPayload(), &beat); err != nil {
		return nil, fmt.Errorf("read the last beat: %w", err)
	}
	if beat.Evidence.GetDevices() == nil {
		return nil, errors.New("the last beat says nothing of devices")
	}
	return beat.Evidence.Devices, nil
}
