package sim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// The requester has met one worker when the other, which is cheaper, comes.
func TestARequesterThatJustCameSoonKnowsAllWorkers(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price}, Setting{GPUs: "rtx-4090", Price: price + 100_000})
		m[1].Stop()
		time.Sleep(3 * time.Second)
		m[1].Start()
		time.Sleep(20 * time.Second)
		_, events := finish(t, m[0], submission(t, m[0], "exit 0"))
		if l := leases(events); len(l) != 1 || l[0].PeerId != m[1].ID() {
			t.Errorf("served by %v; want the cheaper one, %s", l, m[1].ID())
		}
	})
}

func TestAJobRunsFromAnnouncementToReceipt(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price}, Setting{GPUs: "rtx-3060", Price: price + 50_000})
		settle()
		in := t.TempDir()
		if err := os.WriteFile(filepath.Join(in, "data.txt"), []byte("input\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		packed, err := tree.PackDir(t.Context(), in, tree.ToStore(m[0].Store()), tree.PackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sub := submission(t, m[0], "print hello", "eprint trouble", "copy /in/data.txt /out/result.txt", "sleep 10s", "exit 7")
		sub.Broadcast = true
		sub.Spec.Inputs = []*marketv1.Input{{Manifest: packed.Manifest, Path: "/in", ReadOnly: true, TotalBytes: packed.Bytes}}
		sub.Spec.Outputs = []string{"/out"}
		id, events := finish(t, m[0], sub)
		end := ended(t, events)
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || end.Exit.GetCode() != 7 {
			t.Fatalf("ended %v", end)
		}
		if out, err := output(t, m[0], id, runtime.Stdout), output(t, m[0], id, runtime.Stderr); out != "hello\n" || err != "trouble\n" {
			t.Errorf("stdout %q, stderr %q", out, err)
		}
		back := filepath.Join(t.TempDir(), "out")
		if _, err := tree.Unpack(t.Context(), m[0].Store(), end.Outputs[0].Manifest, back, tree.UnpackOptions{}); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(back, "result.txt")); string(b) != "input\n" {
			t.Errorf("output holds %q, %v", b, err)
		}
		var bids, beats int
		for _, e := range events {
			if e.GetBid() != nil {
				bids++
			}
			if e.GetHeartbeat() != nil {
				beats++
			}
		}
		if bids != 2 || beats < 8 {
			t.Errorf("%d bids and %d beats; want both workers' bids and a beat for each second", bids, beats)
		}
		verifyReceipts(t, m[0], m[1], end.LeaseId)
	})
}

// verifyReceipts holds the two sides' receipts of a lease against each other.
func verifyReceipts(t *testing.T, requester, worker *Machine, lease string) {
	t.Helper()
	time.Sleep(5 * time.Second) // for the worker to hear the co-signature
	mine, theirs := receiptOf(t, requester, lease), receiptOf(t, worker, lease)
	if !bytes.Equal(mine, theirs) {
		t.Errorf("the two sides hold different receipts")
	}
	s, err := receipt.Verify(mine)
	if err != nil {
		t.Fatalf("receipt: %v", err)
	}
	if s.CreditMS < 9_000 || s.CreditMS > 12_000 || s.Amount == 0 || !s.Simulated {
		t.Errorf("receipt %+v; want about ten seconds, a price, and the simulated mark", s)
	}
}

func TestWhenNobodyCanServeEveryWorkerSaysWhy(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price}, Setting{GPUs: "rtx-3060", Price: price})
		settle()
		sub := submission(t, m[0], "exit 0")
		sub.Spec.Gpu.VramBytes = 80 << 30
		_, events := finish(t, m[0], sub)
		if end := ended(t, events); end.Outcome != leasev1.Outcome_OUTCOME_NO_BID {
			t.Fatalf("ended %v", end)
		}
		reasons := map[marketv1.DeclineReason]int{}
		for _, e := range events {
			if d := e.GetDecline(); d != nil {
				reasons[d.Decline.Reason]++
			}
		}
		if reasons[marketv1.DeclineReason_DECLINE_REASON_VRAM] != 2 {
			t.Errorf("declines %v; want both workers to name VRAM", reasons)
		}
	})
}

func TestASilentWorkerLapsesAndTheReceiptCoversWhatWasServed(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{Grace: time.Minute}, Setting{GPUs: "rtx-4090", Price: price, Grace: time.Minute})
		settle()
		id, err := m[0].Requester().Submit(t.Context(), submission(t, m[0], "print started", "sleep 1h"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		m[1].Stop()
		if err := m[1].Runtime.Remove(t.Context(), tasksOf(t, m[1])[0]); err != nil {
			t.Fatal(err)
		}
		events := follow(t, m[0], id)
		end := ended(t, events)
		if end.Outcome != leasev1.Outcome_OUTCOME_LAPSED {
			t.Fatalf("ended %v", end)
		}
		var codes []string
		for _, e := range events {
			if tr := e.GetTrouble(); tr != nil {
				codes = append(codes, tr.Code)
			}
		}
		if got := strings.Join(codes, " "); got != "worker-silent suspended" {
			t.Errorf("troubles %q", got)
		}
		s, err := receipt.Verify(receiptOf(t, m[0], end.LeaseId))
		if err != nil {
			t.Fatal(err)
		}
		if s.CreditMS < 15_000 || s.CreditMS > 21_000 {
			t.Errorf("credit %d ms; want what was served, about 20 s", s.CreditMS)
		}
	})
}

func TestAStoppedJobEndsWithItsExitAndFreesTheDevice(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		id, err := m[0].Requester().Submit(t.Context(), submission(t, m[0], "on-term 9", "sleep 1h"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := m[0].Requester().Stop(t.Context(), id, 5*time.Second, false); err != nil {
			t.Fatal(err)
		}
		end := ended(t, follow(t, m[0], id))
		if end.Outcome != leasev1.Outcome_OUTCOME_STOPPED || end.Exit.GetCode() != 9 {
			t.Errorf("ended %v", end)
		}
		_, events := finish(t, m[0], submission(t, m[0], "exit 0"))
		if end := ended(t, events); end.Outcome != leasev1.Outcome_OUTCOME_EXITED {
			t.Errorf("the next job ended %v", end)
		}
		time.Sleep(5 * time.Second)
		if left := tasksOf(t, m[1]); len(left) != 0 {
			t.Errorf("tasks left on the worker: %v", left)
		}
	})
}
