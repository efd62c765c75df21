package keeper

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/job/owner"
)

func TestATaskThatChangesItsProgramLosesNoDeviceToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, src: gputest.NewFaulty(cards(), time.Now), leases: &leases{}, dir: t.TempDir()}
		var pid atomic.Uint32
		pid.Store(11)
		own := func(context.Context, string) ([]uint32, bool) { return []uint32{pid.Load()}, true }
		s.run(owner.Rules{IdleOnly: true, IdleAfter: time.Minute}, own)
		s.src.Use(s.uuid(0), gpu.Process{PID: 9, Name: "rigmesh-nvml", Kind: gpu.ProcessCompute})
		s.reserve("lease a", 0)
		s.pass(5 * time.Second)
		s.src.Use(s.uuid(0), gpu.Process{PID: 11, Name: "train", Kind: gpu.ProcessCompute})
		s.pass(5 * time.Second)
		pid.Store(12) // and the readings lag behind
		s.pass(3 * time.Second)
		s.did("hold lease a false")
		s.src.Use(s.uuid(0), gpu.Process{PID: 13, Name: "miner", Kind: gpu.ProcessCompute})
		s.pass(3 * time.Second)
		s.did("yield lease a after 0s")
		s.stop()
	})
}
