package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
)

const (
	// rememberEvery is how often the peers connected are written down.
	rememberEvery = time.Minute
	// maxRemembered bounds the addresses written down.
	maxRemembered = 64
)

// Join adds nodes to begin with to those this node knows.
func (n *Node) Join(addrs []string) error {
	if err := n.host.Join(addrs...); err != nil {
		return fmt.Errorf("%w: %w", control.ErrInvalid, err)
	}
	return nil
}

// recallPeers has the peers of the last run dialled: a node that has run before
// joins also when every bootstrap address is dead.
func (n *Node) recallPeers() {
	var addrs []string
	b, err := os.ReadFile(n.path("peers"))
	if err != nil || json.Unmarshal(b, &addrs) != nil {
		return // the first run, or a file that is not ours: others will be met
	}
	if err := n.host.Join(addrs...); err != nil {
		n.log.Debug("peers of the last run", "err", err)
	}
}

// rememberPeers writes down who is connected, every now and then and at the end.
func (n *Node) rememberPeers(ctx context.Context) error {
	tick := time.NewTicker(rememberEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.writePeers()
		case <-ctx.Done():
			n.writePeers()
			return nil
		}
	}
}

// writePeers keeps the last ones when there is nobody now.
func (n *Node) writePeers() {
	addrs := n.host.PeerAddrs()
	if len(addrs) == 0 {
		return
	}
	b, err := json.Marshal(addrs[:min(len(addrs), maxRemembered)])
	if err == nil {
		err = os.WriteFile(n.path("peers"), b, 0o600)
	}
	if err != nil {
		n.log.Debug("remember peers", "err", err)
	}
}
