// Package config is what a person can set about a node: one struct, its defaults,
// and where other values come from. Later sources win: the defaults, the file
// config.yaml in the data directory, the environment (RIGMESH_…), the flags.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/rigmesh/rigmesh/job"
)

// Config is everything that can be set about one node.
type Config struct {
	// DataDir holds the identity, the journal, the blobs, the tasks' output and the control socket.
	DataDir string
	// Network is the name of the network; nodes of different networks never meet.
	Network string
	// Listen are multiaddrs; empty: every interface, free ports.
	Listen []string
	// Bootstrap are multiaddrs of nodes to begin with, each ending in /p2p/ID.
	Bootstrap []string
	// Price is the lowest price at which this worker bids, in micro-credits per GPU-hour.
	Price uint64
	// SimulateGPU makes up devices, "rtx-4090:2,h100-sxm:1g.10gb"; empty: the real ones.
	SimulateGPU string
	// Worker says whether this node lends its devices; every node can rent.
	Worker bool
	// MaxDuration is the longest lease that this worker signs.
	MaxDuration time.Duration
	// AbsentGrace is the longest silence of a requester that this worker sits through
	// before a lease lapses.
	AbsentGrace time.Duration
	// StrangerLeases is how many leases a requester that has not paid for anything here yet
	// may have at a time; also all such requesters of one block of addresses.
	StrangerLeases int
	// StrangerBudget is how much time on devices such requesters may have for nothing in a
	// day, all of them together; 0: only those that paid before get anything.
	StrangerBudget time.Duration
	// Containerd is the socket of the system's containerd to run tasks in; empty: one of our own.
	Containerd string
	// Egress is the most of a network that a task may have.
	Egress job.Access
	// FetchInputs lets this worker fetch inputs that are named by their digest from the web, and
	// from nodes that share them.
	FetchInputs bool
	// Images is from where they come, and who else may have them.
	Images Images
	// Store is what is kept of images and files.
	Store Store
	// Name is shown to this node's owner; nobody else sees it.
	Name string
	// LogLevel is one of debug, info, warn and error.
	LogLevel string
	// Metrics is the loopback address at which Prometheus finds metrics; empty: nowhere.
	Metrics string
	// Lending is what can be changed while the node runs, beside Price.
	Lending
	// Reach is how this node and others find a way to each other.
	Reach Reach
	// Market is for which jobs this worker bids.
	Market Market
	// IdleExit ends a node that had no job and no caller for this long; 0: never.
	IdleExit time.Duration
}

// DefaultDataDir is where a node of this user keeps its data.
func DefaultDataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/rigmesh", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rigmesh"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a place for data: %w (set RIGMESH_DATA)", err)
	}
	return filepath.Join(home, ".local", "share", "rigmesh"), nil
}

// Default is the configuration of a node about which nobody said anything.
func Default(dataDir string) Config {
	return Config{
		DataDir:     dataDir,
		Network:     "main",
		Price:       200_000,
		MaxDuration: 24 * time.Hour,
		AbsentGrace: 30 * time.Minute,
		LogLevel:    "info",
		Lending:     defaultLending(),
		Reach:       defaultReach(),
		Images:      defaultImages(),
		FetchInputs: true,

		StrangerLeases: 1,
		StrangerBudget: time.Hour,
	}
}

// Levels are the values of LogLevel, in order.
var Levels = []string{"debug", "info", "warn", "error"}

// Level is LogLevel as slog has it; info when it is none.
func (c Config) Level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// The bounds of what can be set. A requester plans with an absent grace of minutes, so
// hours would only keep devices from others.
const (
	maxAbsentGrace = 24 * time.Hour
	maxDuration    = 30 * 24 * time.Hour

	maxStrangerLeases = 1000
)

var networkName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Validate names everything that is wrong, all at once.
func (c Config) Validate() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !filepath.IsAbs(c.DataDir) {
		wrong("data directory %q: want an absolute path", c.DataDir)
	}
	if !networkName.MatchString(c.Network) {
		wrong("network %q: want 1 to 32 of a-z, 0-9 and -", c.Network)
	}
	for _, a := range c.Listen {
		if err := checkAddr(a, false); err != nil {
			wrong("listen address %q: %w", a, err)
		}
	}
	for _, a := range c.Bootstrap {
		if err := checkAddr(a, true); err != nil {
			wrong("bootstrap address %q: %w", a, err)
		}
	}
	if c.Price > job.MaxPrice {
		wrong("price %s: at most %s", job.FormatPrice(c.Price), job.FormatPrice(job.MaxPrice))
	}
	if c.MaxDuration < time.Minute || c.MaxDuration > maxDuration {
		wrong("max-duration %s: want 1m to %s", c.MaxDuration, maxDuration)
	}
	if c.AbsentGrace < time.Second || c.AbsentGrace > maxAbsentGrace {
		wrong("absent-grace %s: want 1s to %s", c.AbsentGrace, maxAbsentGrace)
	}
	if c.StrangerLeases < 1 || c.StrangerLeases > maxStrangerLeases {
		wrong("stranger-leases %d: want 1 to %d", c.StrangerLeases, maxStrangerLeases)
	}
	if c.StrangerBudget < 0 {
		wrong("stranger-budget %s: want 0 or more", c.StrangerBudget)
	}
	if c.Containerd != "" && !filepath.IsAbs(c.Containerd) {
		wrong("containerd %q: want the absolute path of a socket, such as /run/containerd/containerd.sock", c.Containerd)
	}
	c.Reach.check(wrong)
	c.Store.check(wrong)
	c.Images.check(wrong)
	c.Market.check(c.MaxDuration, wrong)
	if c.IdleExit < 0 {
		wrong("idle-exit %s: want 0 or more", c.IdleExit)
	}
	if !slices.Contains(Levels, c.LogLevel) {
		wrong("log-level %q: want one of %v", c.LogLevel, Levels)
	}
	if err := checkMetrics(c.Metrics); err != nil {
		wrong("metrics address %q: %w", c.Metrics, err)
	}
	c.validateLending(wrong)
	return errors.Join(problems...)
}

// checkMetrics wants a port of this machine alone.
func checkMetrics(addr string) error {
	if addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("want an address such as 127.0.0.1:9400")
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return errors.New("want a loopback address: 127.0.0.1 or [::1]")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > math.MaxUint16 {
		return errors.New("want a port from 0 to 65535")
	}
	return nil
}
