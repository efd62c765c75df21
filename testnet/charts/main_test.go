package main

import (
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/testnet/figure"
)

func TestEveryQuestionHasItsChart(t *testing.T) {
	got := render([]figure.Figure{
		{Experiment: "size", Nodes: 100, Reached: 1, P99: 60 * time.Millisecond, Bytes: 4298, CPU: 3 * time.Millisecond},
		{Experiment: "size", Nodes: 250, Reached: 1, P99: 80 * time.Millisecond, Bytes: 4357, CPU: 4 * time.Millisecond},
		{Experiment: "Sybils", Name: "4 to 1", Nodes: 100, Reached: 0.995, P99: 40 * time.Millisecond},
	})
	for _, want := range []string{
		"| Sybils: 4 to 1 | 100 | 99.50 % |", "| 4298 bytes | 3.00 ms |",
		"x-axis [\"100\", \"250\"]\n  y-axis \"bytes\" 0 --> 5228\n  line [4298.00, 4357.00]",
		"x-axis [\"Sybils: 4 to 1\"]\n  y-axis \"ms\" 0 --> 48\n  bar [40.00]",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(render(nil), "mermaid") {
		t.Error("a chart of nothing")
	}
}
