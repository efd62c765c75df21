package worker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestALeaseThatMissesADeviceAfterARestartKeepsTheOthersUntilItIsHandedBack(t *testing.T) {
	for name, fetched := range map[string]bool{"running": true, "still fetching": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				c := useCards(b, nil)
				b.peers.set(!fetched)
				b.start()
				spec := b.spec("sleep 1h", "exit 0")
				spec.Gpu.Count = 2
				s, id := b.take(b.bidFor(requesterKey, spec))
				time.Sleep(10 * time.Second)
				b.stop()
				started := len(c.started)
				b.lost = 1
				b.peers.set(false)
				b.restore()
				if b.free() != 0 {
					t.Error("a device of the lease is free while its task may run")
				}
				b.run()
				defer b.stop()
				b.connect(s, id)
				time.Sleep(time.Minute)
				var end leasev1.Close
				if err := proto.Unmarshal(s.Lease().Receipt().GetClose(), &end); err != nil || end.Reason != leasev1.CloseReason_CLOSE_REASON_YIELDED {
					t.Errorf("%s, %s, %v: want it handed back", s.Lease().State(), end.Reason, err)
				}
				if len(c.started) != started || b.free() != 1 {
					t.Errorf("%d tasks started without a device, %d devices free", len(c.started)-started, b.free())
				}
			})
		})
	}
}
