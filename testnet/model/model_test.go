package main

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWhatAMemberHearsDoesNotGrowWithTheNetwork(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	at := split(dice, 10_000)
	for _, population := range []int{30_000, 150_000} {
		p := split(dice, population)
		if p.heard > at.heard*5/4 || p.members > 20_000 || p.hottest > 2200 {
			t.Errorf("%d nodes: %+v; 10,000 nodes: %+v", population, p, at)
		}
	}
}

func TestAnAnnouncementReachesAWholeTopic(t *testing.T) {
	s := spreadAmong(rand.New(rand.NewPCG(3, 4)), 3000)
	if s.reached < 0.999 || s.sends < 3 || s.sends > 8 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsPredictedIsATableAndCharts(t *testing.T) {
	got := predict(rand.New(rand.NewPCG(5, 6)), []int{100, 1000})
	for _, want := range []string{"\n| 100 | 1 | 100 |", "\n| 1000 | 1 | 1000 |", "x-axis [\"100\", \"1000\"]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}
