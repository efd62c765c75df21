//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// Ready waits until the node of a data directory in the lab answers, and says
// what it is. It gives up when p has ended, with the last it wrote.
func (l *Lab) Ready(ctx context.Context, p *Process, dataDir string) (*controlv1.StatusResponse, error) {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		status, err := statusOf(ctx, l.Path(dataDir))
		if err == nil {
			return status, l.remember(status.PeerId)
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s ended: %w\n%s", p.Name, p.err, p.LastWords())
		case <-ctx.Done():
			return nil, fmt.Errorf("%s does not answer: %w\n%s", p.Name, err, p.LastWords())
		case <-pause.C:
		}
	}
}

// remember writes down a node's peer id, after which what it leaves is named.
func (l *Lab) remember(peer string) error {
	file, err := os.OpenFile(l.Path(peersFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, peer)
	return errors.Join(err, file.Close())
}

// Answers tells whether the node of a data directory in the lab runs.
func (l *Lab) Answers(ctx context.Context, dataDir string) bool {
	_, err := statusOf(ctx, l.Path(dataDir))
	return err == nil
}

func statusOf(ctx context.Context, dataDir string) (*controlv1.StatusResponse, error) {
	client, err := control.Dial(ctx, dataDir)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Status(ctx)
}

// LastWords gives the last lines the node wrote.
func (p *Process) LastWords() string { return lastLines(p.Log) }

// LastWords gives the last lines that the node of a data directory wrote, as
// Start or rigmesh itself kept them.
func (l *Lab) LastWords(dataDir string) string {
	if _, err := os.Stat(l.Path(dataDir + ".log")); err == nil {
		return lastLines(l.Path(dataDir + ".log"))
	}
	return lastLines(l.Path(dataDir, "node.log"))
}

func lastLines(file string) string {
	const lines = 10
	log, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
