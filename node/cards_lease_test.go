//go:build linux

package node

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/gpu/nvml/nvmltest"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/node/config"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

// A whole node whose cards are the driver's mock, read by the real helper process: a job
// that wants real devices gets one, and the driver's word stands in its heartbeats.
func TestALeaseOfACardCarriesWhatItsDriverSays(t *testing.T) {
	host := a100s(t, 8)
	withDriver(t, host, "CUDA_FREE=3000")
	n := lender(t, host.Root)
	id, err := n.Requester().Submit(t.Context(), wantsACard(t, n))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var last *leasev1.JobEvent
	for e, err := range n.Requester().Events(ctx, id, true) {
		if err != nil {
			t.Fatal(err)
		}
		last = e
	}
	end := last.GetEnded()
	if end.GetOutcome() != leasev1.Outcome_OUTCOME_EXITED || end.GetExit().GetCode() != 4 {
		t.Fatalf("ended %v", end)
	}
	devices, simulated := lastEvidence(t, n, end.LeaseId)
	if simulated || devices.GetDriver() == "" || devices.GetMemoryBytes() == 0 && devices.GetPowerLimitMw() == 0 {
		t.Errorf("simulated %t, devices %v", simulated, devices)
	}
	if free := len(n.devices.Free()); free != 8 {
		t.Errorf("%d cards are free afterwards, want 8", free)
	}
}

// lender is a node that runs until the test ends, and lends the cards of a host.
func lender(t *testing.T, root string) *Node {
	t.Helper()
	t.Setenv("RIGMESH_HELPERS", filepath.Dir(nvmltest.Helper(t)))
	t.Setenv("RIGMESH_TEST_MACHINE", "dgxa100")
	t.Setenv("RIGMESH_TEST_FAULTS", filepath.Join(t.TempDir(), "faults"))
	cfg := config.Default(t.TempDir())
	cfg.Network, cfg.Worker, cfg.Listen = "test", true, []string{"/ip4/127.0.0.1/tcp/0"}
	n, err := New(cfg, Parts{HostRoot: root, Runtime: runtimetest.New(t), NoControl: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n
}

// wantsACard is a job for one real device that lasts some heartbeats.
func wantsACard(t *testing.T, n *Node) *leasev1.Submission {
	t.Helper()
	image, blobs := runtimetest.Image("cards")
	for digest, content := range blobs {
		if err := n.Store().Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	return &leasev1.Submission{
		MaxPrice: 1_000_000, IntervalMs: 1000, MaxDurationMs: time.Hour.Milliseconds(), WaitMs: time.Minute.Milliseconds(),
		Spec: &marketv1.Spec{
			Version: 1, Command: []string{"sleep 4s", "exit 4"}, Name: "cards",
			Image: &marketv1.Image{
				Digest: image.Digest, MediaType: image.MediaType, SizeBytes: uint64(image.Size),
				Platform: image.Platform, TotalBytes: 1, Name: "cards:1",
			},
			Gpu:       &marketv1.Requirement{Count: 1, Models: []string{"a100-sxm4-40gb"}},
			Resources: &marketv1.Resources{CpuMillis: 1000, MemoryBytes: 64 << 20, Pids: 64},
		},
	}
}

// lastEvidence is what the last heartbeat of a lease's receipt says of its devices.
func lastEvidence(t *testing.T, n *Node, lease string) (*leasev1.DeviceEvidence, bool) {
	t.Helper()
	_, b, err := n.Receipt(lease)
	if err != nil {
		t.Fatal(err)
	}
	r, err := receipt.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	var beat leasev1.Beat
	var terms leasev1.Terms
	if err := proto.Unmarshal(r.LastBeat.GetPayload(), &beat); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(r.Terms, &terms); err != nil {
		t.Fatal(err)
	}
	return beat.Evidence.GetDevices(), terms.Simulated
}
