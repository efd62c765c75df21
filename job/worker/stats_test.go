package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// half is a runtime whose tasks keep half a core busy.
type half struct {
	runtime.Runtime
	began time.Time
}

func (h half) Status(ctx context.Context, id string) (runtime.Status, error) {
	s, err := h.Runtime.Status(ctx, id)
	s.CPUTime = time.Since(h.began) / 2
	return s, err
}

func TestARequesterSeesWhatItsTaskUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.telemetry = meter{time.Now()}
		b.wrap = func(r runtime.Runtime) runtime.Runtime { return half{r, time.Now()} }
		b.start()
		defer b.stop()
		defer b.clear()
		s, id := running(b, nil, "print some output", "sleep 20s")
		time.Sleep(10 * time.Second)
		requester := sessiontest.Peer(t, sessiontest.Key("requester"))
		got, err := b.Stats(t.Context(), requester, &leasev1.StatsRequest{LeaseId: id})
		if err != nil {
			t.Fatal(err)
		}
		if got.Phase != leasev1.Phase_PHASE_RUNNING || got.CpuMillis != 500 || got.CpuLimitMillis != 1000 || got.MemoryLimitBytes != 64<<20 || got.PidsLimit != 64 || got.DiskBytes != 12 {
			t.Errorf("the task: %v", got)
		}
		if len(got.Devices) != 1 || got.Devices[0].Utilization != 50 || got.Devices[0].PowerMw != 100_000 || got.Devices[0].VramBytes == 0 || got.Devices[0].ReadMs == 0 {
			t.Errorf("its devices: %v", got.Devices)
		}
		for from, lease := range map[string][]byte{"stranger": id, "requester": make([]byte, 32), "worker": nil} {
			if got, err := b.Stats(t.Context(), sessiontest.Peer(t, sessiontest.Key(from)), &leasev1.StatsRequest{LeaseId: lease}); !errors.Is(err, worker.ErrNoLease) {
				t.Errorf("%s sees %v, %v", from, got, err)
			}
		}
		<-s.Done()
		if got, err := b.Stats(t.Context(), requester, &leasev1.StatsRequest{LeaseId: id}); err == nil && (got.Phase <= leasev1.Phase_PHASE_FROZEN || got.CpuMillis != 0) {
			t.Errorf("after its end: %v", got)
		}
	})
}
