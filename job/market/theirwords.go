package market

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// said is the first text there is, in the workers' own words; "" when there is none.
func said(ds []*marketv1.Decline) string {
	for _, d := range ds {
		if t := job.CleanText(d.GetText()); t != "" {
			return t
		}
	}
	return ""
}

// inTheirWords are the reasons of which the workers' own words say what they have instead.
var inTheirWords = map[marketv1.DeclineReason]bool{
	marketv1.DeclineReason_DECLINE_REASON_MODEL:    true,
	marketv1.DeclineReason_DECLINE_REASON_MIG:      true,
	marketv1.DeclineReason_DECLINE_REASON_MACHINE:  true,
	marketv1.DeclineReason_DECLINE_REASON_PLATFORM: true,
	marketv1.DeclineReason_DECLINE_REASON_REGION:   true,
	marketv1.DeclineReason_DECLINE_REASON_DRIVER:   true,
	marketv1.DeclineReason_DECLINE_REASON_INVALID:  true,
	marketv1.DeclineReason_DECLINE_REASON_EXPIRED:  true,
}

// theirWords are what workers say, those first whom the most agree with: ": only rtx-3060;
// only l40s, rtx-4090; and more". It is empty when they say nothing.
func theirWords(ds []*marketv1.Decline) string {
	const most, longest = 2, 80
	counts := map[string]int{}
	for _, d := range ds {
		if t := job.CleanText(d.GetText()); t != "" {
			counts[string([]rune(t)[:min(longest, len([]rune(t)))])] += Weight(d)
		}
	}
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	switch {
	case len(words) == 0:
		return ""
	case len(words) > most:
		words = append(words[:most], "and more")
	}
	return ": " + strings.Join(words, "; ")
}
