//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

// world is a lab whose nodes run.
type world struct {
	*lab.Lab
	nodes []node
}

type node struct{ name, namespace string }

const help = `
Each node is a command: laptop status, attic top --once, laptop run oci-archive:busybox.tar echo hello
  inside NODE CMD...    run something in a node's network, such as ip addr
  cut NODE              pull a node's cable;       mend NODE puts it back
  freeze NODE           stop a node's process;     thaw NODE lets it go on
  slay NODE             kill -9
  record NODE           its log
  nodes                 this list again
exit stops them all and cleans up.
`

// scripts are the shell's own commands, beside one for each node.
var scripts = map[string]string{
	"inside": `ns=$1; shift; exec nsenter --net=/run/netns/$LAB-$ns "$@"`,
	"cut":    `exec ip -n $LAB-$1 link set $(ip -n $LAB-$1 -o link | sed -n 's/^[0-9]*: \(out\|eth0\)@.*/\1/p') down`,
	"mend": `dev=$(ip -n $LAB-$1 -o link | sed -n 's/^[0-9]*: \(out\|eth0\)@.*/\1/p')
ip -n $LAB-$1 link set $dev up
test $dev = out || ip -n $LAB-$1 route replace default via 192.168.1.1`,
	"freeze": `exec kill -STOP $(cat $LABDIR/$1.pid)`,
	"thaw":   `exec kill -CONT $(cat $LABDIR/$1.pid)`,
	"slay":   `exec kill -KILL $(cat $LABDIR/$1.pid)`,
	"record": `exec less +G $LABDIR/$1.log`,
	"nodes":  `exec cat $LABDIR/help`,
}

// shell runs the user's shell in the lab's folder until it ends. What its last command
// exited with is no failure of the lab's.
func (w *world) shell(ctx context.Context, t terminal) error {
	if err := w.writeCommands(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/bash", "--norc")
	cmd.Dir = w.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.in, t.out, t.out
	cmd.Env = append(os.Environ(), "PS1=lab> ", "LAB="+filepath.Base(w.Dir), "LABDIR="+w.Dir,
		"PATH="+w.Path("bin")+":"+os.Getenv("PATH"))
	fmt.Fprint(t.out, help)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// writeCommands makes the commands of the shell.
func (w *world) writeCommands() error {
	if err := os.MkdirAll(w.Path("bin"), 0o755); err != nil {
		return err
	}
	var list strings.Builder
	all := map[string]string{}
	for name, body := range scripts {
		all[name] = body
	}
	for _, n := range w.nodes {
		rigmesh := w.Command(context.Background()).Path
		all[n.name] = fmt.Sprintf("RIGMESH_DATA=%s exec nsenter --net=/run/netns/%s %s \"$@\"", w.Path(n.name), n.namespace, rigmesh)
		fmt.Fprintln(&list, n.name)
	}
	for name, body := range all {
		if err := os.WriteFile(w.Path("bin", name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile(w.Path("help"), []byte(list.String()+help), 0o644)
}
