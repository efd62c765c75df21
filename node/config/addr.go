package config

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// checkAddr says what is wrong with a multiaddr; withPeer: it has to end in /p2p/ID.
func checkAddr(text string, withPeer bool) error {
	addr, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return fmt.Errorf("%w (such an address looks like /ip4/192.0.2.7/tcp/4001)", err)
	}
	_, id := peer.SplitAddr(addr)
	switch {
	case withPeer && id == "":
		return errors.New("it does not end in /p2p/ and the node's id")
	case !withPeer && id != "":
		return errors.New("it names a peer: a node listens as itself only")
	}
	return nil
}
