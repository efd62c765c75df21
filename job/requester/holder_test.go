package requester

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAJobsTaskIsWithTheWorkerOfItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, ran: time.Minute})
		b.start()
		defer b.stop()
		id := b.submit(b.submission())
		time.Sleep(20 * time.Second)
		worker, lease, err := b.Holder(id[:6])
		if v := b.Jobs()[0]; err != nil || worker != v.Worker || lease.String() != v.LeaseID {
			t.Errorf("%s, %s, %v; the job is %+v", worker, lease, err, v)
		}
		b.events(id)
		for id, want := range map[string]error{id: ErrEnded, "ffff": ErrNoJob} {
			if _, _, err := b.Holder(id); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", id, err, want)
			}
		}
	})
}

func TestAJobThatStillSearchesHasNoTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.WaitMs = time.Hour.Milliseconds()
		id := b.submit(sub)
		if _, _, err := b.Holder(id); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%v, want %v", err, ErrNotRunning)
		}
	})
}
