package requester

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestAJobThatIsRunAgainWaitsForABidAsLongAsTheFirstTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_BUSY}
		w := &rig{price: price, ran: 20 * time.Minute, exit: &leasev1.Exit{Code: 125, Cause: leasev1.Cause_CAUSE_LOST, Error: "lost"}}
		next := &rig{price: price, ran: time.Minute, decline: busy}
		b := newBench(t, w, next)
		b.start()
		sub := b.submission()
		sub.Retries, sub.WaitMs = 1, (10 * time.Minute).Milliseconds()
		id := b.submit(sub)
		time.Sleep(10 * time.Minute)
		w.mu.Lock()
		w.decline = busy
		w.mu.Unlock()
		time.Sleep(15 * time.Minute)
		seeks := func(when string) {
			t.Helper()
			if v := b.Jobs()[0]; !v.Live || v.State != "searching" || v.Amount == 0 || v.CreditMS < 1_100_000 {
				t.Errorf("%s it is %s and costs %d for %d ms", when, v.State, v.Amount, v.CreditMS)
			}
		}
		seeks("after the first lease")
		b.stop()
		b.start()
		defer b.stop()
		time.Sleep(time.Minute)
		seeks("after a restart")
		next.free()
		if _, end := b.events(id); end.Outcome != leasev1.Outcome_OUTCOME_EXITED || end.Amount != b.Jobs()[0].Amount {
			t.Errorf("ended %v, listed with %d", end, b.Jobs()[0].Amount)
		}
	})
}

func TestAJobThatFindsNoSecondLeaseIsListedWithWhatTheFirstCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price, ran: time.Minute, exit: &leasev1.Exit{Code: 125, Cause: leasev1.Cause_CAUSE_LOST, Error: "lost"}}
		w.onAward = func(*leasev1.AwardRequest) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.decline = &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_BUSY}
		}
		b := newBench(t, w)
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Retries = 1
		_, end := b.run(sub)
		if v := b.Jobs()[0]; end.Outcome != leasev1.Outcome_OUTCOME_NO_BID || end.Amount == 0 || v.Amount != end.Amount || v.CreditMS != end.CreditMs {
			t.Errorf("ended %v, listed with %d for %d ms", end, v.Amount, v.CreditMS)
		}
	})
}

func TestALogOfWhichAPowerCutTookAPartTakesTheNextTasksOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	l := openLog(path, time.Now)
	if err := l.write(0, []byte("first")); err != nil {
		t.Fatal(err)
	}
	l.begin(8)
	if err := l.write(0, []byte(" second")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "first second" || l.received() != 7 {
		t.Errorf("%q, of which %d bytes are the second task's; %v", b, l.received(), err)
	}
}
