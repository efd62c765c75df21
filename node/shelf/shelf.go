// Package shelf decides what a node keeps: a bounded store of images and files that lets go
// of what was used longest ago, and never of what is in use.
//
// Everything here is a rule; package node looks at what there is and does what is decided.
package shelf

import (
	"cmp"
	"slices"
	"time"
)

// Item is one thing that is kept, or let go of, as a whole.
type Item struct {
	Name  string
	Used  time.Time        // last
	Parts map[string]int64 // bytes of each by name; items share parts of one name
	Busy  bool             // somebody needs it now
}

// Total is what items take, in bytes. What they share counts once.
func Total(items []Item) int64 {
	total, _ := count(items)
	return total
}

// Busy is what busy items take, which is what has to stay, in bytes.
func Busy(items []Item) int64 {
	return Total(slices.DeleteFunc(slices.Clone(items), func(it Item) bool { return !it.Busy }))
}

// Excess chooses what has to go so that the rest takes at most limit bytes, in the order in
// which it is to go: what was used longest ago first. What is busy never goes, nor does what
// would free nothing because busy items have all of it too. The rest may still take more
// than limit.
func Excess(items []Item, limit int64) []Item {
	total, holders := count(items)
	var out []Item
	for _, it := range byUse(items) {
		if total <= limit {
			break
		}
		if it.Busy || !frees(it, holders, items) {
			continue
		}
		for name, size := range it.Parts {
			if holders[name]--; holders[name] == 0 {
				total -= size
			}
		}
		out = append(out, it)
	}
	return out
}

// count adds up, and says how many items have each part.
func count(items []Item) (total int64, holders map[string]int) {
	holders = make(map[string]int)
	for _, it := range items {
		for name, size := range it.Parts {
			if holders[name]++; holders[name] == 1 {
				total += size
			}
		}
	}
	return total, holders
}

func byUse(items []Item) []Item {
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b Item) int {
		return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

// frees says whether letting go of an item frees anything, now or once others went too.
func frees(it Item, holders map[string]int, items []Item) bool {
	for name, size := range it.Parts {
		if size > 0 && holders[name] > 0 && !pinned(name, items) {
			return true
		}
	}
	return false
}

// pinned says whether a busy item has a part.
func pinned(name string, items []Item) bool {
	return slices.ContainsFunc(items, func(it Item) bool {
		_, has := it.Parts[name]
		return has && it.Busy
	})
}
