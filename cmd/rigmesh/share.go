package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/urfave/cli/v2"
)

func shareCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "share",
		Usage:     "give a folder, a file or a job's output to whoever knows its digest",
		Category:  categoryRent,
		ArgsUsage: "PATH|JOB:/path",
		Description: "Prints a digest, which anybody can name as an input: rigmesh run -v sha256:…:/data. The worker then has it\n" +
			"from this node, from all others that share the same, and from no server. Whoever knows the digest may have\n" +
			"the content; nobody learns it from the network. Content is copied into this node's store, so later changes\n" +
			"of PATH do not count, and it is to be had while this node runs.\n\n" +
			examples("rigmesh share ./dataset", "rigmesh share --for 48h 3f2a:/out", "rigmesh shares", "rigmesh unshare 9c41"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "for", Usage: "share it for `TIME` only, such as 48h (default: until rigmesh unshare)"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return share(c, k) },
	}, arguments{1, 1})
}

func sharesCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name: "shares", Usage: "list what this machine shares", Category: categoryRent,
		Description: examples("rigmesh shares", "rigmesh shares --json"),
		Flags:       []cli.Flag{jsonFlag()},
		Action:      func(c *cli.Context) error { return listShares(c, k) },
	}, arguments{0, 0})
}

func unshareCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name: "unshare", Usage: "share something no longer", Category: categoryRent, ArgsUsage: "DIGEST",
		Description: "DIGEST may be the beginning of one. Whoever has the content by then keeps it.\n\n" + examples("rigmesh unshare 9c41"),
		Action:      func(c *cli.Context) error { return unshare(c, k) },
	}, arguments{1, 1})
}

func share(c *cli.Context, k console) error {
	var term config.Duration
	if err := parseFlags(c, flagValue{"for", &term}); err != nil {
		return err
	}
	if c.IsSet("for") && term <= 0 {
		return usagef("--for %s: want a length of time, such as 48h", c.String("for"))
	}
	from := placeOf(c.Args().First())
	if from.job == "" { // before a node is started for it
		if err := (input{from: from.path}).check(); err != nil {
			return err
		}
	}
	client, err := connect(c.Context, c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	req := &controlv1.ShareRequest{Name: job.CleanText(c.Args().First()), ForMs: time.Duration(term).Milliseconds()}
	if from.job != "" {
		req.Manifest, err = outputOf(c.Context, client, from)
	} else {
		req.Manifest, err = handIn(c.Context, client, newView(k, c.Bool("json")), from.path)
	}
	if err != nil {
		return err
	}
	s, err := client.Share(c.Context, req)
	if errors.Is(err, control.ErrMissing) {
		return hint(err, "it is no longer here in full; if you still have its files, share those")
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(k.out, shareViewOf(s))
	}
	fmt.Fprintln(k.out, s.Manifest)
	return nil
}

// outputOf is the digest of an output of a job that has ended.
func outputOf(ctx context.Context, client *control.Client, from place) (string, error) {
	var ended *leasev1.JobEnded
	for item, err := range client.Watch(ctx, &controlv1.WatchJobRequest{JobId: from.job, EventsOnly: true}) {
		if err != nil {
			return "", hint(err, "rigmesh ps --all lists the jobs; a path here, with a colon in its name, is ./NAME")
		}
		if e := item.GetEvent().GetEnded(); e != nil {
			ended = e
		}
	}
	if ended == nil {
		return "", fmt.Errorf("job %s has not ended: its outputs are not here yet", from.job)
	}
	for _, o := range ended.Outputs {
		if o.Path == from.path {
			return o.Manifest, nil
		}
	}
	return "", hint(fmt.Errorf("job %s left no output %s", from.job, from.path), "rigmesh describe %s lists its outputs", from.job)
}

// handIn brings a folder or a file into the node's store and gives its digest.
func handIn(ctx context.Context, client *control.Client, v *view, path string) (string, error) {
	content := &cargo{parts: map[string]part{}}
	defer content.Close()
	in := input{from: path}
	if err := content.addInput(ctx, in); err != nil {
		return "", fmt.Errorf("share %s: %w", path, err)
	}
	defer v.clear()
	return content.inputs[0].Manifest, content.send(ctx, client, v.sending)
}

func listShares(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := client.Shares(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		views := make([]shareView, 0, len(all))
		for _, s := range all {
			views = append(views, shareViewOf(s))
		}
		return printJSON(k.out, views)
	}
	t := newTable(k.out, "DIGEST", "SIZE", "UNTIL", "NAME")
	for _, s := range all {
		until := "unshared"
		if s.UntilMs > 0 {
			until = time.UnixMilli(s.UntilMs).Format(time.DateTime)
		}
		t.row(s.Manifest, size(s.TotalBytes), until, s.Name)
	}
	return t.flush()
}

func unshare(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.Unshare(c.Context, c.Args().First())
	if err != nil {
		return hint(err, "rigmesh shares lists what is shared")
	}
	fmt.Fprintf(k.out, "%s is shared no longer\n", s.Manifest)
	return nil
}

// shareView is something that is shared as --json prints it.
type shareView struct {
	Digest string `json:"digest"`
	Name   string `json:"name"`
	Bytes  uint64 `json:"bytes"`
	Until  string `json:"until,omitempty"`
}

func shareViewOf(s *controlv1.Share) shareView {
	return shareView{Digest: s.Manifest, Name: s.Name, Bytes: s.TotalBytes, Until: rfc3339(s.UntilMs)}
}

// shared says whether an input is named by its digest: "sha256:…:/path".
func (in input) shared() bool { return strings.HasPrefix(in.from, "sha256:") }

// addShared adds what other nodes share. How large it is the node finds out, in findShared.
func (c *cargo) addShared(in input) {
	c.inputs = append(c.inputs, &marketv1.Input{Manifest: in.from, Path: in.path, ReadOnly: in.readOnly, Shared: true})
}

// findShared has the node look for the inputs that are named by their digests.
func (c *cargo) findShared(ctx context.Context, client *control.Client, v *view) error {
	for _, in := range c.inputs {
		if !in.Shared {
			continue
		}
		v.status("looking for whoever shares " + in.Manifest)
		found, err := client.FindShared(ctx, in.Manifest)
		if errors.Is(err, control.ErrNotFound) {
			return hint(fmt.Errorf("input %w", err), "its digest is what rigmesh share prints, and is no digest of a file; it is shared while a node that shares it runs")
		}
		if err != nil {
			return fmt.Errorf("input %s: %w", in.Manifest, err)
		}
		in.TotalBytes, in.File = found.TotalBytes, found.File
	}
	return nil
}
