package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// A node that is served for long has more jobs with content than a peer may have streams open.
func TestManyJobsOfOnePairBringTheirInputsAndOutputs(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		for i := range 10 {
			want, in := fmt.Sprintf("content of job %d\n", i), t.TempDir()
			if err := os.WriteFile(filepath.Join(in, "data.txt"), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			packed, err := tree.PackDir(t.Context(), in, tree.ToStore(m[0].Store()), tree.PackOptions{})
			if err != nil {
				t.Fatal(err)
			}
			sub := submission(t, m[0], "copy /in/data.txt /out/result.txt", "exit 0")
			sub.Spec.Inputs = []*marketv1.Input{{Manifest: packed.Manifest, Path: "/in", ReadOnly: true, TotalBytes: packed.Bytes}}
			sub.Spec.Outputs = []string{"/out"}
			_, events := finish(t, m[0], sub)
			end := exited(t, events, 0)
			if len(end.Outputs) != 1 {
				t.Fatalf("job %d: outputs %v, troubles %v", i, end.Outputs, troubles(events))
			}
			back := filepath.Join(t.TempDir(), "out")
			if _, err := tree.Unpack(t.Context(), m[0].Store(), end.Outputs[0].Manifest, back, tree.UnpackOptions{}); err != nil {
				t.Fatalf("job %d: %v", i, err)
			}
			if b, err := os.ReadFile(filepath.Join(back, "result.txt")); string(b) != want {
				t.Errorf("job %d: output holds %q, %v", i, b, err)
			}
			time.Sleep(2 * time.Second) // for the worker to be free again; no stream goes for being idle yet
		}
		if n := streams(m[0], "blob"); n != 0 {
			t.Errorf("%d streams of content are open after all jobs", n)
		}
	})
}

// streams counts a machine's open streams of one of our protocols.
func streams(m *Machine, name string) int {
	n := 0
	for _, c := range m.Host.Libp2p().Network().Conns() {
		for _, s := range c.GetStreams() {
			if s.Protocol() == m.Host.Protocol(name) {
				n++
			}
		}
	}
	return n
}
