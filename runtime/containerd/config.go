package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
)

// Config says where the runtime lives and whose it is.
type Config struct {
	// DataDir holds images, tasks and outputs. One process at a time owns it.
	DataDir string
	// Prefix is a prefix of the node's peer id, 1–32 letters and digits. It names
	// everything the runtime makes on the host.
	Prefix string
	// Executable is the rigmesh binary to start as the containerd child. Empty: this one.
	Executable string
	// Socket is that of the system's containerd, to use instead of a child of our own: its
	// shim and its runc too. Empty: our own.
	Socket string
	// UIDBase is the first host user of the pool that tasks draw their 65,536 users
	// from; a multiple of 65,536. Zero: 0x70000000, which no distribution gives to people,
	// services or other containers.
	UIDBase uint32
	// MaxImageBytes bounds the compressed size of one image. Zero: 100 GiB.
	MaxImageBytes int64
	// MaxLayers bounds the layers of one image. Zero: 128.
	MaxLayers int
	// MakeRoom is called before so many bytes of an image are fetched; its error ends the
	// pull. Nil: nobody makes room.
	MakeRoom func(ctx context.Context, bytes int64) error
	// OutputBytes bounds each of the two outputs of a task. Zero: 256 MiB.
	OutputBytes int64
	// EgressBytes bounds what a task with a way out sends and receives in a second, each.
	// Zero: 12.5 MB, 100 Mbit/s.
	EgressBytes uint64
	// Lookup resolves the names that tasks ask for; network is "ip4" or "ip6". Nil: this
	// host's resolver.
	Lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)
	Log    *slog.Logger
}

const (
	defaultUIDBase       = 0x70000000
	defaultMaxImageBytes = 100 << 30
	maxLayers            = 128
	defaultOutputBytes   = 256 << 20
	defaultEgressBytes   = 12_500_000
)

var prefixes = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

// complete fills in defaults and names every problem at once.
func (c Config) complete() (Config, error) {
	var problems []error
	if !filepath.IsAbs(c.DataDir) {
		problems = append(problems, fmt.Errorf("data folder %q is not absolute", c.DataDir))
	}
	if !prefixes.MatchString(c.Prefix) {
		problems = append(problems, fmt.Errorf("prefix %q is not 1–32 letters and digits", c.Prefix))
	}
	if c.Socket != "" && !filepath.IsAbs(c.Socket) {
		problems = append(problems, fmt.Errorf("containerd's socket %q is not absolute", c.Socket))
	}
	if c.UIDBase%rangeSize != 0 {
		problems = append(problems, fmt.Errorf("first user %d is not a multiple of %d", c.UIDBase, rangeSize))
	}
	if c.Log == nil {
		problems = append(problems, errors.New("no logger"))
	}
	if c.Executable == "" {
		self, err := os.Executable()
		c.Executable, problems = self, append(problems, err)
	}
	if c.UIDBase == 0 {
		c.UIDBase = defaultUIDBase
	}
	if c.MaxImageBytes == 0 {
		c.MaxImageBytes = defaultMaxImageBytes
	}
	if c.MaxLayers == 0 {
		c.MaxLayers = maxLayers
	}
	if c.OutputBytes == 0 {
		c.OutputBytes = defaultOutputBytes
	}
	if c.EgressBytes == 0 {
		c.EgressBytes = defaultEgressBytes
	}
	if c.MakeRoom == nil {
		c.MakeRoom = func(context.Context, int64) error { return nil }
	}
	if c.Lookup == nil {
		c.Lookup = lookup
	}
	return c, errors.Join(problems...)
}

// lookup asks this host's resolver, in our own code: what libc would read besides
// is for this host's own programs.
func lookup(ctx context.Context, network, name string) ([]netip.Addr, error) {
	resolver := net.Resolver{PreferGo: true}
	return resolver.LookupNetIP(ctx, network, name+".") // the dot: no search list
}
