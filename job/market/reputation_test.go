package market

import (
	"testing"
	"time"
)

func TestReputationRisesWithGoodLeasesAndFallsWithBad(t *testing.T) {
	for _, c := range []struct {
		r    Record
		want int
	}{
		{Record{}, Unknown}, {Record{Good: 1}, 66}, {Record{Good: 98}, 99}, {Record{Bad: 1}, 33}, {Record{Good: 1, Bad: 1}, 50},
		{Record{Strikes: 3}, 20},
	} {
		if got := c.r.Reputation(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.r, got, c.want)
		}
	}
}

func TestThreeStrikesShunUntilOneFades(t *testing.T) {
	var r Record
	for range 2 {
		r = r.Strike(now)
	}
	if r.Shunned(now) {
		t.Error("shunned after two")
	}
	r = r.Strike(now.Add(time.Hour))
	if !r.Shunned(now.Add(time.Hour)) || !r.Shunned(now.Add(6*time.Hour)) {
		t.Error("not shunned after three")
	}
	if r.Shunned(now.Add(7*time.Hour)) || r.Fade(now.Add(7*time.Hour)).Strikes != 2 {
		t.Error("shunned though one was forgiven")
	}
	if f := r.Fade(now.Add(1000 * time.Hour)); f.Strikes != 0 || f.Reputation() != Unknown {
		t.Errorf("after a month %+v", f)
	}
	if f := r.Fade(now.Add(-time.Hour)); f.Strikes != 3 {
		t.Errorf("a clock that went back forgave: %+v", f)
	}
}
