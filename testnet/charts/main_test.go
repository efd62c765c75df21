package main

import (
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/testnet/figure"
)

func TestFiguresReplaceThoseOfTheLastRun(t *testing.T) {
	doc := "before\n" + begin + "old\n" + end + "after\n"
	got, err := splice([]byte(doc), "new\n")
	if want := "before\n" + begin + "new\n" + end + "after\n"; err != nil || string(got) != want {
		t.Errorf("%v: %q", err, got)
	}
	for _, bad := range []string{"", begin, end, end + begin} {
		if _, err := splice([]byte(bad), "new"); err == nil {
			t.Errorf("%q has no place for figures", bad)
		}
	}
}

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
