//go:build linux

package nat

import (
	"context"
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

// wantedHubs is how many public nodes others are told to begin with: from one alone
// nobody learns what its NAT does.
const wantedHubs = 2

// Start starts a node in a namespace and waits until it answers. name is its data
// directory. The first nodes with public addresses are what all later ones begin with.
func (n *Internet) Start(ctx context.Context, namespace, name string, env []string, args ...string) (peer string, err error) {
	args = append(args, "--data", name)
	for _, hub := range n.hubs {
		args = append(args, "--bootstrap", hub)
	}
	// Not bound to ctx: a node is stopped by Stop, in order, and not at once.
	cmd := n.lab.Command(context.Background(), args...)
	lab.Enter(namespace, cmd)
	cmd.Env = append(cmd.Env, env...)
	p, err := n.lab.Launch(name, cmd)
	if err != nil {
		return "", err
	}
	st, err := n.lab.Ready(ctx, p, name)
	if err != nil {
		return "", err
	}
	if len(st.Addresses) == 0 {
		return "", fmt.Errorf("%s listens nowhere", name)
	}
	if len(n.hubs) < wantedHubs && strings.HasPrefix(st.Addresses[0], "/ip4/11.") {
		n.hubs = append(n.hubs, st.Addresses[0])
	}
	return st.PeerId, nil
}

// Hubs are the addresses that new nodes begin with.
func (n *Internet) Hubs() []string { return n.hubs }
