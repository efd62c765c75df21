package market

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// NearestTerms are the terms of the decline that is easiest to meet, and which one it
// is: the fewest things to change, and of those the cheapest, the soonest, the
// biggest. It is empty when no decline names any.
func NearestTerms(declines []*marketv1.Decline, w Wants) (index int, text string) {
	best := -1
	for i, d := range declines {
		if len(terms(d, w)) == 0 || !negotiable(d.GetReason()) {
			continue
		}
		if best < 0 || nearer(d, declines[best], w) < 0 {
			best = i
		}
	}
	if best < 0 {
		return -1, ""
	}
	return best, strings.Join(terms(declines[best], w), ", ")
}

// Remedy is what the requester could do about the decline that is easiest to meet, or
// else about the most frequent one that something can be done about; it may be empty.
func Remedy(declines []*marketv1.Decline, w Wants) string {
	if i, _ := NearestTerms(declines, w); i >= 0 && len(terms(declines[i], w)) == 1 {
		_, remedy := explain(known(declines[i].GetReason()), declines[i:i+1], w)
		return remedy
	}
	for _, row := range DeclineTable(declines, w) {
		if row.Remedy != "" {
			return row.Remedy
		}
	}
	return ""
}

func gpus(n uint32) string {
	if n == 1 {
		return "1 GPU"
	}
	return fmt.Sprintf("%d GPUs", n)
}

// negotiable says whether meeting the terms of a decline would get a bid.
func negotiable(r marketv1.DeclineReason) bool {
	return slices.Contains([]marketv1.DeclineReason{
		marketv1.DeclineReason_DECLINE_REASON_PRICE,
		marketv1.DeclineReason_DECLINE_REASON_COUNT,
		marketv1.DeclineReason_DECLINE_REASON_VRAM,
		marketv1.DeclineReason_DECLINE_REASON_BUSY,
		marketv1.DeclineReason_DECLINE_REASON_DURATION,
		marketv1.DeclineReason_DECLINE_REASON_CAPABILITY,
		marketv1.DeclineReason_DECLINE_REASON_DRIVER,
		marketv1.DeclineReason_DECLINE_REASON_NVLINK,
		marketv1.DeclineReason_DECLINE_REASON_POLICY,
	}, r)
}

func nearer(a, b *marketv1.Decline, w Wants) int {
	return cmp.Or(
		cmp.Compare(len(terms(a, w)), len(terms(b, w))),
		cmp.Compare(order(a.GetReason()), order(b.GetReason())),
		cmp.Compare(a.GetPrice(), b.GetPrice()),
		cmp.Compare(a.GetFreeAtMs(), b.GetFreeAtMs()),
		cmp.Compare(b.GetVramBytes(), a.GetVramBytes()),
		cmp.Compare(b.GetCount(), a.GetCount()),
		cmp.Compare(b.GetDurationMs(), a.GetDurationMs()),
	)
}

// order puts what is easy to change before what the job may not bear.
func order(r marketv1.DeclineReason) int {
	switch r {
	case marketv1.DeclineReason_DECLINE_REASON_PRICE:
		return 0
	case marketv1.DeclineReason_DECLINE_REASON_BUSY:
		return 1
	case marketv1.DeclineReason_DECLINE_REASON_DURATION:
		return 2
	}
	return 3
}

// terms words every term of a decline that the requester would have to meet.
func terms(d *marketv1.Decline, w Wants) []string {
	var out []string
	if p := d.GetPrice(); p > w.MaxPrice {
		out = append(out, job.FormatPrice(p)+" credits per GPU-hour")
	}
	if n, want := d.GetCount(), w.Requirement.GetCount(); n > 0 && n != want && (n < want || w.Requirement.GetExclusive()) {
		out = append(out, gpus(n))
	}
	for _, v := range []struct{ what, has, want string }{
		{"compute capability ", d.GetCapability(), w.Requirement.GetCapability()},
		{"driver ", d.GetDriver(), w.Requirement.GetDriver()},
		{"CUDA ", d.GetCuda(), w.Requirement.GetCuda()},
	} {
		if has := gpu.Version(v.has); has.Valid() && !has.AtLeast(gpu.Version(v.want)) {
			out = append(out, v.what+v.has)
		}
	}
	if v := d.GetVramBytes(); v > 0 && v < w.Requirement.GetVramBytes() {
		out = append(out, gpu.FormatVRAM(v)+" of VRAM")
	}
	if ms := d.GetDurationMs(); ms > 0 && ms != w.MaxDuration.Milliseconds() {
		out = append(out, "a lease of "+duration(ms))
	}
	if ms := d.GetFreeAtMs(); ms > 0 {
		out = append(out, "free at "+clock(time.UnixMilli(ms), w))
	}
	return out
}
