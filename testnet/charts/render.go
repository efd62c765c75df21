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
	var bytes, cpu, reached, late []figure.Point
	for _, f := range all {
		nodes := fmt.Sprint(f.Nodes)
		bytes = append(bytes, figure.Point{Name: nodes, Value: f.Bytes})
		cpu = append(cpu, figure.Point{Name: nodes, Value: milliseconds(f.CPU)})
		if f.Bytes == 0 {
			reached = append(reached, figure.Point{Name: label(f), Value: 100 * f.Reached})
			late = append(late, figure.Point{Name: label(f), Value: milliseconds(f.P99)})
		}
	}
	b.WriteString(figure.Chart("Bytes sent per node and announcement, by network size", "bytes", "line", bytes))
	b.WriteString(figure.Chart("CPU per node and announcement, by network size", "ms", "line", cpu))
	b.WriteString(figure.Chart("Delivered under attack", "%", "bar", reached))
	b.WriteString(figure.Chart("p99 of delivery under attack", "ms", "bar", late))
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
