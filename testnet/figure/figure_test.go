package figure_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/testnet/figure"
)

func TestTheLastFigureOfEachCaseIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures")
	first := figure.Figure{Experiment: "size", Nodes: 100, Reached: 1, P99: time.Second}
	other := figure.Figure{Experiment: "size", Nodes: 250, Reached: 0.5}
	again := first
	again.Bytes = 4000
	for _, f := range []figure.Figure{first, other, again} {
		if err := figure.Append(file, f); err != nil {
			t.Fatal(err)
		}
	}
	got, err := figure.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]figure.Figure{again, other}, got); diff != "" {
		t.Error(diff)
	}
}

func TestALineThatIsNoFigureIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures")
	if err := os.WriteFile(file, []byte("{}\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := figure.Read(file); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v", err)
	}
	if err := figure.Append("", figure.Figure{}); err != nil {
		t.Error(err)
	}
}
