//go:build linux

// Command labshell starts a network of real nodes behind routers of every kind, in
// network namespaces of this machine, and gives a shell in it. When the shell ends,
// everything does.
//
//	labshell                                          six nodes
//	labshell hub worker:symmetric:3 requester:udp-blocked
//	labshell -f FILE                                  the same words in a file
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/testnet/lab"
	"github.com/rigmesh/rigmesh/testnet/nat"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

func main() {
	binary := flag.String("rigmesh", "bin/rigmesh", "the rigmesh to run")
	file := flag.String("f", "", "file with the topology")
	flag.Parse()
	if err := run(*binary, *file, flag.Args(), terminal{os.Stdin, os.Stdout}); err != nil {
		fmt.Fprintln(os.Stderr, "labshell:", err)
		os.Exit(1)
	}
}

// terminal is where the user sits.
type terminal struct {
	in  io.Reader
	out io.Writer
}

func run(binary, file string, words []string, t terminal) (err error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		if words, err = read(f); err != nil {
			return err
		}
	}
	if len(words) == 0 {
		words = strings.Fields(sixNodes)
	}
	sites, err := parseAll(words)
	if err != nil {
		return err
	}
	// A Ctrl-C is for what runs in the shell. An end from elsewhere ends the shell, and us after it.
	signal.Ignore(os.Interrupt)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	l, err := lab.New(binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(l, t)) }()
	w, err := start(ctx, l, sites, t)
	if err != nil {
		return err
	}
	return w.shell(ctx, t)
}

// start makes the network and its nodes.
func start(ctx context.Context, l *lab.Lab, sites []site, t terminal) (*world, error) {
	internet, err := nat.New(l)
	if err != nil {
		return nil, err
	}
	w := &world{Lab: l}
	for _, s := range sites {
		namespaces, err := internet.Site(s.name, s.kind, s.many)
		if err != nil {
			return nil, err
		}
		for i, name := range nat.Hosts(s.name, s.many) {
			began := time.Now()
			if _, err := internet.Start(ctx, namespaces[i], name, environment[s.role], commands[s.role]...); err != nil {
				return nil, err
			}
			fmt.Fprintf(t.out, "%-12s %s, %s, up after %d ms\n", name, s.role, behind(s.kind), time.Since(began).Milliseconds())
			w.nodes = append(w.nodes, node{name, namespaces[i]})
		}
	}
	return w, ociimage.Busybox(l.Path("busybox.tar"))
}

func behind(k nat.Kind) string {
	if k == nat.None {
		return "public"
	}
	return "behind a NAT of kind " + k.String()
}

// commands are what nodes are started with, beside their data directory and hubs.
var commands = map[role][]string{
	hub:       {"node", "--requester"},
	worker:    {"up", "--simulate-gpu", "rtx-4090", "--price", "0.25"},
	requester: {"node", "--requester"},
}

var environment = map[role][]string{hub: {"RIGMESH_RELAY=1GiB"}}

// end stops everything and says what was left.
func end(l *lab.Lab, t terminal) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := errors.Join(l.Stop(ctx), l.Clear())
	left, lerr := l.Remains()
	fmt.Fprintf(t.out, "left behind: %s\n", left)
	return errors.Join(err, lerr)
}
