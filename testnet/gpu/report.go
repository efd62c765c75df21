//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// row is one thing that is checked: do says what was seen, or what is wrong.
type row struct {
	name string
	do   func(context.Context) (string, error)
}

// result is how a row came out.
type result struct {
	Name   string `json:"name"`
	Result string `json:"result"` // ok, failed, no GPU, not possible
	Seen   string `json:"seen"`
	MS     int64  `json:"ms"`
}

// errNotPossible: what a row needs is not on this machine, and that is no fault.
var errNotPossible = errors.New("not possible here")

// report is the whole check.
type report struct {
	Date     string   `json:"date"`
	Card     string   `json:"card"`
	Driver   string   `json:"driver"`
	CUDA     string   `json:"cuda"`
	Problems []string `json:"problems,omitempty"`
	Rows     []result `json:"rows"`
}

func (r *report) add(ctx context.Context, row row, card bool) {
	if !card {
		r.Rows = append(r.Rows, result{Name: row.name, Result: "no GPU"})
		return
	}
	started := time.Now()
	seen, err := row.do(ctx)
	res := result{Name: row.name, Result: "ok", Seen: seen, MS: time.Since(started).Milliseconds()}
	switch {
	case errors.Is(err, errNotPossible):
		res.Result, res.Seen = "not possible", err.Error()
	case err != nil:
		res.Result, res.Seen = "failed", err.Error()
	}
	r.Rows = append(r.Rows, res)
}

func (r *report) failed() int {
	n := 0
	for _, res := range r.Rows {
		if res.Result == "failed" {
			n++
		}
	}
	return n
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s, card %q, driver %q, CUDA %q\n", r.Date, r.Card, r.Driver, r.CUDA)
	for _, p := range r.Problems {
		fmt.Fprintln(w, "  "+p)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, res := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%d ms\t%s\n", res.Name, res.Result, res.MS, res.Seen)
	}
	_ = t.Flush()
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
