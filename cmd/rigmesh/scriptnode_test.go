package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// asFakeNode is a node for a script: it tells the events of one job, and the jobs that
// its worker heard of, as a JSON file has them, until it is interrupted.
func asFakeNode() {
	if err := scriptedNode(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func scriptedNode(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir := os.Getenv("RIGMESH_DATA")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := newFakeNode(dir)
	if err != nil {
		return err
	}
	if err := f.read(file); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	l, err := control.Listen(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return f.server().Serve(ctx, l)
}

// read takes what the node is to tell from a file.
func (f *fakeNode) read(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var told struct{ Submission, Events, Heard json.RawMessage }
	if err := json.Unmarshal(b, &told); err != nil {
		return err
	}
	f.submission = &leasev1.Submission{}
	var job controlv1.ExplainJobResponse
	var worker controlv1.ExplainWorkerResponse
	for _, part := range []struct {
		text json.RawMessage
		read func([]byte) error
	}{
		{told.Submission, func(b []byte) error { return protojson.Unmarshal(b, f.submission) }},
		{told.Events, func(b []byte) error { return protojson.Unmarshal([]byte(fmt.Sprintf(`{"events":%s}`, b)), &job) }},
		{told.Heard, func(b []byte) error { return protojson.Unmarshal([]byte(fmt.Sprintf(`{"heard":%s}`, b)), &worker) }},
	} {
		if len(part.text) == 0 {
			continue
		}
		if err := part.read(part.text); err != nil {
			return err
		}
	}
	f.events, f.heard = job.Events, worker.Heard
	return nil
}

// asWaiter returns once the node of a script answers.
func asWaiter() {
	client, err := control.Await(context.Background(), os.Getenv("RIGMESH_DATA"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client.Close()
}
