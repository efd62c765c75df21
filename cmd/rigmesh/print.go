package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/urfave/cli/v2"
)

// The parts of rigmesh --help.
const (
	categoryRent = "Rent GPUs:"
	categoryLend = "Lend GPUs:"
	categoryAll  = "Both:"
)

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON", DisableDefaultText: true}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table lines up columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
	t.row(columns...)
	return t
}

// row adds a line. What peers wrote is made safe to print.
func (t table) row(cells ...string) {
	for i, cell := range cells {
		if cells[i] = job.CleanText(cell); cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t table) flush() error { return t.w.Flush() }

// credits writes micro-credits for people.
func credits(micro uint64) string { return job.FormatPrice(micro) }

// span writes a length of time for people, to the second above a second.
func span(d time.Duration) string {
	unit := time.Millisecond
	if d >= time.Second {
		unit = time.Second
	}
	return config.Duration(d.Round(unit)).String()
}

func spanMS(ms uint64) string {
	return span(time.Duration(min(ms, 1<<40)) * time.Millisecond)
}

func size(b uint64) string { return config.Bytes(b).String() }

// rfc3339 writes a Unix time in milliseconds for machines, "" for none.
func rfc3339(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}
