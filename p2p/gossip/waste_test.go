package gossip

import (
	"testing"
	"time"
)

func TestWasteCostsOnceItIsMuchAndIsForgottenInTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := newWaste()
	w.now = func() time.Time { return now }
	for range wasteForgiven {
		w.note("loud")
	}
	if got := w.score("loud"); got != 0 {
		t.Errorf("a little waste costs %v", got)
	}
	for range -graylistThreshold + 1 {
		w.note("loud")
	}
	if got := w.score("loud"); got >= graylistThreshold || w.score("quiet") != 0 {
		t.Errorf("a flood scores %v, a stranger %v", got, w.score("quiet"))
	}
	now = now.Add(5 * time.Minute)
	if got := w.score("loud"); got >= graylistThreshold {
		t.Errorf("after five minutes it is heard again: %v", got)
	}
	now = now.Add(40 * time.Minute)
	if got := w.score("loud"); got != 0 {
		t.Errorf("after the pause it still costs %v", got)
	}
}
