package shelf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func item(name string, hour int, busy bool, parts map[string]int64) Item {
	return Item{Name: name, Used: noon.Add(time.Duration(hour) * time.Hour), Busy: busy, Parts: parts}
}

func names(items []Item) (out []string) {
	for _, it := range items {
		out = append(out, it.Name)
	}
	return out
}

func TestWhatWasUsedLongestAgoGoesFirst(t *testing.T) {
	items := []Item{
		item("new", 3, false, map[string]int64{"a": 10}),
		item("old", 1, false, map[string]int64{"b": 10}),
		item("older, busy", 0, true, map[string]int64{"c": 10}),
		item("middle", 2, false, map[string]int64{"d": 10}),
	}
	for limit, want := range map[int64][]string{
		40: nil,
		39: {"old"},
		20: {"old", "middle"},
		0:  {"old", "middle", "new"},
	} {
		if got := names(Excess(items, limit)); !slices.Equal(got, want) {
			t.Errorf("down to %d bytes: %q go, want %q", limit, got, want)
		}
	}
}

func TestASharedPartGoesWithTheLastThatHasIt(t *testing.T) {
	items := []Item{
		item("first", 1, false, map[string]int64{"base": 100, "a": 1}),
		item("second", 2, false, map[string]int64{"base": 100, "b": 1}),
		item("third", 3, false, map[string]int64{"c": 1}),
	}
	if got := Total(items); got != 103 {
		t.Errorf("%d bytes in all, want 103", got)
	}
	if got := names(Excess(items, 50)); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("%q go", got)
	}
}

func TestWhatFreesNothingStays(t *testing.T) {
	items := []Item{
		item("all of it is the busy one's too", 1, false, map[string]int64{"base": 100}),
		item("busy", 2, true, map[string]int64{"base": 100}),
		item("free", 3, false, map[string]int64{"c": 1}),
	}
	if got := names(Excess(items, 0)); !slices.Equal(got, []string{"free"}) {
		t.Errorf("%q go", got)
	}
}

// TestNoHistoryLosesWhatIsInUse lets leases come and go over a store that is always too
// small. After every step nothing busy is gone, the bound holds unless only what is busy
// is left, and nothing went that was used after something that stayed for no reason.
func TestNoHistoryLosesWhatIsInUse(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var items []Item
		for step := range 200 {
			items = happen(r, items, step)
			limit := r.Int64N(3000)
			gone := Excess(items, limit)
			for _, it := range gone {
				if it.Busy {
					t.Fatalf("seed %d step %d: %q is in use and goes", seed, step, it.Name)
				}
			}
			rest := slices.DeleteFunc(slices.Clone(items), func(it Item) bool { return slices.Contains(names(gone), it.Name) })
			if Total(rest) > limit && len(Excess(rest, limit)) > 0 {
				t.Fatalf("seed %d step %d: %d bytes stay, %d are allowed, and more could go", seed, step, Total(rest), limit)
			}
			if n := len(gone); n > 0 && Total(append(slices.Clone(rest), gone[n-1])) <= limit {
				t.Fatalf("seed %d step %d: %q went for nothing", seed, step, gone[n-1].Name)
			}
			items = rest
		}
	}
}

// happen adds an item, uses one, or begins or ends its use.
func happen(r *rand.Rand, items []Item, step int) []Item {
	at := noon.Add(time.Duration(step) * time.Minute)
	if len(items) == 0 || r.IntN(3) == 0 {
		parts := map[string]int64{fmt.Sprint("own ", step): r.Int64N(500)}
		for range r.IntN(3) {
			layer := r.Int64N(8)
			parts[fmt.Sprint("layer ", layer)] = layer * 100
		}
		return append(items, Item{Name: fmt.Sprint(step), Used: at, Parts: parts, Busy: r.IntN(3) == 0})
	}
	i := r.IntN(len(items))
	items[i].Used, items[i].Busy = at, r.IntN(2) == 0
	return items
}

func TestWhatIsInUseCountsOnce(t *testing.T) {
	items := []Item{
		item("old", 1, false, map[string]int64{"a": 10, "b": 1}),
		item("busy", 2, true, map[string]int64{"a": 10, "c": 100}),
		item("busy too", 3, true, map[string]int64{"c": 100, "d": 1000}),
	}
	if got := Busy(items); got != 1110 {
		t.Errorf("%d bytes are in use, want 1110", got)
	}
}
