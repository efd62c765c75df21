//go:build !linux

package node

import (
	"errors"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

var errNotLinux = errors.New("lending needs Linux, because containers do; this machine can still rent")

func (n *Node) newRuntime() (runtime.Runtime, error) { return nil, errNotLinux }

func measure(string) (*marketv1.Machine, error) { return nil, errNotLinux }
