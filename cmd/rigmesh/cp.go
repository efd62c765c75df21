package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime/carry"
	"github.com/urfave/cli/v2"
)

// maxPadding is what an archive may end in, in bytes.
const maxPadding = 64 << 10

// mostCopied is how many files, folders and links come out of a task in one copy.
const mostCopied = 1_000_000

func cpCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "cp",
		Usage:     "copy files into the task of a job that runs, or out of it",
		Category:  categoryRent,
		ArgsUsage: "FROM TO",
		UsageText: "rigmesh cp [flags] JOB:PATH DEST\n   rigmesh cp [flags] SOURCE JOB:PATH",
		Description: "Copies a file or a folder with all that is in it, as cp -r does: into TO under its own name if TO is a\n" +
			"folder, and as TO otherwise. FROM/. is what is in a folder, without the folder. Files that are there are\n" +
			"replaced. A PATH that does not begin with / is below the task's working folder.\n\n" +
			"What comes from a task is a stranger's: nothing is written outside of TO, devices, pipes and setuid bits do\n" +
			"not come along, and links that lead out of the copied folder are left out.\n\n" +
			examples("rigmesh cp 3f2a:/out/model.pt .", "rigmesh cp ./data 3f2a:/tmp/", "rigmesh cp --max-size 2GiB 3f2a:/out/. ./out"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "max-size", Value: "64GiB", Usage: "at most `SIZE` of files out of the task"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error { return copyFiles(c, k) },
	}, arguments{2, 2})
}

func copyFiles(c *cli.Context, k console) error {
	var most config.Bytes
	if err := parseFlags(c, flagValue{"max-size", &most}); err != nil {
		return err
	}
	from, to := placeOf(c.Args().Get(0)), placeOf(c.Args().Get(1))
	if (from.job == "") == (to.job == "") {
		return hint(usagef("one of %q and %q must be in a job, and one here", c.Args().Get(0), c.Args().Get(1)),
			"in a job is JOB:/path; here, with a colon in its name, is ./NAME")
	}
	client, err := connect(c.Context, c, k)
	if err != nil {
		return err
	}
	defer client.Close()
	p := &copying{k: k, client: client, view: newView(k, c.Bool("quiet"))}
	defer p.view.clear()
	if from.job != "" {
		return p.out(c.Context, from, to.path, carry.Options{Bytes: int64(most), Entries: mostCopied})
	}
	return p.in(c.Context, from.path, to)
}

// place is a path, in a job's task or, without one, here.
type place struct{ job, path string }

// placeOf reads JOB:PATH. What has a slash, a backslash or a dot before the colon is a path
// here, and so is a drive.
func placeOf(text string) place {
	id, path, ok := strings.Cut(text, ":")
	if !ok || id == "" || strings.ContainsAny(id, `/\.`) || len(id) == 1 && strings.HasPrefix(path, `\`) {
		return place{path: text}
	}
	if path == "" {
		path = "."
	}
	return place{id, path}
}

// baseOf is the name of a copy of path. "." is what is in a folder alone.
func baseOf(path string, separator byte, base func(string) string) string {
	if strings.HasSuffix(path, string(separator)+".") {
		return "."
	}
	return base(path)
}

// copying is one copy.
type copying struct {
	k      console
	client *control.Client
	view   *view
	bytes  int64
}

// out brings what is in a task here.
func (p *copying) out(ctx context.Context, from place, dest string, o carry.Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	packed, w := io.Pipe()
	ran := make(chan error, 1)
	go func() {
		err := p.program(ctx, from.job, leasev1.ExecProgram_EXEC_PROGRAM_PACK, nil, w, from.path)
		_ = w.CloseWithError(err) // nil is the end of a whole stream
		ran <- err
	}()
	o.Skipped = func(name string) { p.view.say("left out: %s, a link to outside of it", job.CleanText(name)) }
	err := carry.Unpack(p.counted(packed), dest, baseOf(from.path, '/', path.Base), o)
	if err == nil {
		_, err = io.CopyN(io.Discard, packed, maxPadding) // a short one is the end
		if errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = carry.ErrTooMuch
		}
	}
	_ = packed.CloseWithError(errEnough)
	if err != nil {
		cancel()
	}
	if problem := <-ran; problem != nil && !errors.Is(problem, errEnough) && (err == nil || !errors.Is(problem, context.Canceled)) {
		return problem // why there was nothing more to unpack
	}
	if errors.Is(err, carry.ErrTooMuch) {
		return hint(fmt.Errorf("copy %s to %s: %w", from.path, dest, err), "--max-size allows more")
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", from.path, dest, err)
	}
	return nil
}

// errEnough ends a program whose output is not wanted any more.
var errEnough = errors.New("nothing more is taken")

// in brings what is here into a task.
func (p *copying) in(ctx context.Context, from string, to place) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := carry.Pack(w, from, func(name string) {
			p.view.say("left out: %s, neither a file, a folder nor a link", job.CleanText(name))
		})
		_ = w.CloseWithError(err)
		packed <- err
	}()
	err := p.program(ctx, to.job, leasev1.ExecProgram_EXEC_PROGRAM_UNPACK, p.counted(r), io.Discard,
		to.path, baseOf(from, filepath.Separator, absBase))
	_ = r.CloseWithError(io.ErrClosedPipe)
	if problem := <-packed; problem != nil && !errors.Is(problem, io.ErrClosedPipe) {
		return fmt.Errorf("read %s: %w", from, problem)
	}
	return err
}

// absBase is the name of a path here, also of "..".
func absBase(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return filepath.Base(path)
}

// program runs one of the worker's own in a task.
func (p *copying) program(ctx context.Context, id string, which leasev1.ExecProgram, in io.Reader, out io.Writer, args ...string) error {
	s := sitting{k: console{in: in, out: out, err: p.k.err, getenv: p.k.getenv}, stdin: in != nil}
	err := s.run(ctx, p.client, id, &leasev1.ExecStart{Program: which, Args: args})
	var exit *exitError
	if errors.As(err, &exit) && exit.err == nil && exit.code == 1 {
		return &exitError{1, nil} // it said why
	}
	return err
}

// counted shows how much has gone by.
func (p *copying) counted(r io.Reader) io.Reader { return &countedReader{r, p} }

type countedReader struct {
	io.Reader
	p *copying
}

func (r *countedReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	const step = 1 << 20
	before := r.p.bytes / step
	if r.p.bytes += int64(n); r.p.bytes/step != before {
		r.p.view.status("copied " + size(uint64(r.p.bytes)))
	}
	return n, err
}
