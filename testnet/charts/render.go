package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/testnet/figure"
)

// render is a table of all figures, and a chart of each question that figures answer.
func render(all []figure.Figure) string {
	var b strings.Builder
	b.WriteString("| what | honest nodes | reached | p50 | p99 | sent per node and announcement | CPU | of |\n|---|---|---|---|---|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(&b, "| %s | %d | %.2f %% | %s | %s | %s | %s | %s |\n", label(f), f.Nodes, 100*f.Reached,
			measured(milliseconds(f.P50), "%.0f ms"), measured(milliseconds(f.P99), "%.0f ms"), measured(f.Bytes, "%.0f bytes"),
			measured(milliseconds(f.CPU), "%.2f ms"), f.Taken.UTC().Format(time.DateOnly))
	}
	b.WriteString("\n")
	var sizes, attacks []figure.Figure
	for _, f := range all {
		if f.Bytes > 0 {
			sizes = append(sizes, f)
		} else {
			attacks = append(attacks, f)
		}
	}
	nodes := func(f figure.Figure) string { return fmt.Sprint(f.Nodes) }
	chart(&b, "Bytes sent per node and announcement, by network size", "bytes", "line", sizes, nodes, func(f figure.Figure) float64 { return f.Bytes })
	chart(&b, "CPU per node and announcement, by network size", "ms", "line", sizes, nodes, func(f figure.Figure) float64 { return milliseconds(f.CPU) })
	chart(&b, "Delivered under attack", "%", "bar", attacks, label, func(f figure.Figure) float64 { return 100 * f.Reached })
	chart(&b, "p99 of delivery under attack", "ms", "bar", attacks, label, func(f figure.Figure) float64 { return milliseconds(f.P99) })
	return b.String()
}

func label(f figure.Figure) string {
	if f.Name == "" {
		return f.Experiment
	}
	return f.Experiment + ": " + f.Name
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measured is a figure, or nothing when there is none.
func measured(v float64, format string) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// chart draws one value of those figures that have it, from zero, in Mermaid's words.
func chart(b *strings.Builder, title, unit, kind string, of []figure.Figure, name func(figure.Figure) string, value func(figure.Figure) float64) {
	var names, values []string
	most := 0.0
	for _, f := range of {
		if value(f) == 0 {
			continue
		}
		names = append(names, fmt.Sprintf("%q", name(f)))
		values = append(values, fmt.Sprintf("%.2f", value(f)))
		most = max(most, value(f))
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "```mermaid\nxychart-beta\n  title %q\n  x-axis [%s]\n  y-axis %q 0 --> %.4g\n  %s [%s]\n```\n\n",
		title, strings.Join(names, ", "), unit, 1.2*most, kind, strings.Join(values, ", "))
}
