package market

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/gpu"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func times(n int, d *marketv1.Decline) []*marketv1.Decline {
	return slices.Repeat([]*marketv1.Decline{d}, n)
}

func TestSummaryGroupsReasonsAndNamesTheNearestTerms(t *testing.T) {
	twenty := now.Add(80 * time.Minute)
	for _, c := range []struct {
		name     string
		declines []*marketv1.Decline
		want     string
	}{
		{"nobody", nil, ""},
		{"the example of the manual", slices.Concat(
			times(2, &marketv1.Decline{Reason: vram, VramBytes: 12 * gpu.GiB}),
			times(4, &marketv1.Decline{Reason: price, Price: 350_000}),
			times(1, &marketv1.Decline{Reason: busy, FreeAtMs: twenty.UnixMilli()}),
		), "7 workers declined: 4 price floor 0.35 > your 0.30, 2 VRAM 12 GiB < 24 GiB, 1 busy until 14:20; " +
			"nearest match: 0.35 credits per GPU-hour"},
		{"one", times(1, &marketv1.Decline{Reason: draining}), "1 worker declined: 1 taking no new work"},
		{"several prices", []*marketv1.Decline{
			{Reason: price, Price: 800_000}, {Reason: price, Price: 350_000}, {Reason: price, Price: 400_000},
		}, "3 workers declined: 3 price floors 0.35 to 0.80 > your 0.30; nearest match: 0.35 credits per GPU-hour"},
		{"a price that was not named", times(1, &marketv1.Decline{Reason: price}), "1 worker declined: 1 price floor > your 0.30"},
		{"the largest of several cards", []*marketv1.Decline{
			{Reason: vram, VramBytes: 8 * gpu.GiB}, {Reason: vram, VramBytes: 16 * gpu.GiB},
		}, "2 workers declined: 2 VRAM 16 GiB < 24 GiB; nearest match: 16 GiB of VRAM"},
		{"one change is nearer than two", []*marketv1.Decline{
			{Reason: vram, VramBytes: 16 * gpu.GiB, Price: 310_000}, {Reason: vram, VramBytes: 12 * gpu.GiB},
		}, "2 workers declined: 2 VRAM 16 GiB < 24 GiB; nearest match: 12 GiB of VRAM"},
		{"two changes when it must be", times(1, &marketv1.Decline{Reason: vram, VramBytes: 16 * gpu.GiB, Price: 310_000}),
			"1 worker declined: 1 VRAM 16 GiB < 24 GiB; nearest match: 0.31 credits per GPU-hour, 16 GiB of VRAM"},
		{"too few", times(1, &marketv1.Decline{Reason: count, Count: 1}), "1 worker declined: 1 GPU count 1 < 2; nearest match: 1 GPU"},
		{"no GPU", times(1, &marketv1.Decline{Reason: count}), "1 worker declined: 1 GPU count 0 < 2"},
		{"too short", times(1, &marketv1.Decline{Reason: tooLong, DurationMs: 2 * hour}),
			"1 worker declined: 1 leases of at least 2h > 1h; nearest match: a lease of 2h"},
		{"some stand for others", []*marketv1.Decline{{Reason: vram, VramBytes: 12 * gpu.GiB, Weight: 300}, {Reason: price, Price: 350_000}},
			"about 301 workers declined: 300 VRAM 12 GiB < 24 GiB, 1 price floor 0.35 > your 0.30; nearest match: 0.35 credits per GPU-hour"},
		{"too long", times(1, &marketv1.Decline{Reason: tooLong, DurationMs: hour / 2}),
			"1 worker declined: 1 leases of at most 30m < 1h; nearest match: a lease of 30m"},
		{"busy until tomorrow", times(1, &marketv1.Decline{Reason: busy, FreeAtMs: now.Add(24 * time.Hour).UnixMilli()}),
			"1 worker declined: 1 busy until 2 Mar 13:00; nearest match: free at 2 Mar 13:00"},
		{"the first to be free", []*marketv1.Decline{
			{Reason: busy}, {Reason: busy, FreeAtMs: twenty.UnixMilli()}, {Reason: busy, FreeAtMs: twenty.Add(time.Hour).UnixMilli()},
		}, "3 workers declined: 3 busy until 14:20; nearest match: free at 14:20"},
		{"busy", times(1, &marketv1.Decline{Reason: busy}), "1 worker declined: 1 busy"},
		{"models", times(1, &marketv1.Decline{Reason: model}), "1 worker declined: 1 no rtx-4090 or l40s"},
		{"compute capability", times(1, &marketv1.Decline{Reason: lowCC, Capability: "8.6"}),
			"1 worker declined: 1 compute capability below 9.0; nearest match: compute capability 8.6"},
		{"driver", times(1, &marketv1.Decline{Reason: oldDriver, Cuda: "12.4"}),
			"1 worker declined: 1 a driver that is too old; nearest match: CUDA 12.4"},
		{"links", times(1, &marketv1.Decline{Reason: unlinked, Count: 1}),
			"1 worker declined: 1 fewer than 2 GPUs linked by NVLink; nearest match: 1 GPU"},
		{"slices", times(1, &marketv1.Decline{Reason: noSlice}), "1 worker declined: 1 no 1g.10gb slice"},
		{"what there is instead", []*marketv1.Decline{
			{Reason: model, Text: "only rtx-3060"}, {Reason: model, Text: "only h100-sxm", Weight: 2}, {Reason: model, Text: "only \x1b[31ml40s"}, {Reason: model},
		}, "about 5 workers declined: 5 no rtx-4090 or l40s: only h100-sxm; only [31ml40s; and more"},
		{"a machine that is too small", times(2, &marketv1.Decline{Reason: machine, Text: "only 8 CPU cores"}),
			"2 workers declined: 2 too little CPU, memory or disk: only 8 CPU cores"},
		{"the owner's rules", times(1, &marketv1.Decline{Reason: policy, FreeAtMs: twenty.UnixMilli()}),
			"1 worker declined: 1 not lent by the owner until 14:20; nearest match: free at 14:20"},
		{"the owner's rules, for who knows how long", times(1, &marketv1.Decline{Reason: policy}),
			"1 worker declined: 1 against the owner's rules"},
		{"terms of a reason that terms do not help", times(1, &marketv1.Decline{Reason: platform, Price: oneCredit}),
			"1 worker declined: 1 another platform"},
		{"reasons of a later version", []*marketv1.Decline{{Reason: 77, Text: "full \x1b[31mmoon"}, {Reason: noReason}},
			"2 workers declined: 2 full [31mmoon"},
		{"no word at all", times(1, &marketv1.Decline{}), "1 worker declined: 1 gave no reason"},
		{"a price no higher than ours is no term", times(1, &marketv1.Decline{Reason: price, Price: 300_000}),
			"1 worker declined: 1 price floor 0.30 > your 0.30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := wants()
			w.Requirement.Count, w.Requirement.Models = 2, []string{"rtx-4090", "l40s"}
			w.Requirement.Capability, w.Requirement.Cuda, w.Requirement.Mig = "9.0", "13.0", "1g.10gb"
			if diff := cmp.Diff(c.want, SummarizeDeclines(c.declines, nil, w)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheNearestMatchNamesItsWorker(t *testing.T) {
	got := SummarizeDeclines([]*marketv1.Decline{{Reason: draining}, {Reason: price, Price: 350_000}}, []string{"first", "second"}, wants())
	if !strings.HasSuffix(got, "nearest match: 0.35 credits per GPU-hour from second") {
		t.Error(got)
	}
}

func TestTheHourIsTheRequesters(t *testing.T) {
	w := wants()
	w.Now = now.In(time.FixedZone("UTC+9", 9*3600))
	got := SummarizeDeclines(times(1, &marketv1.Decline{Reason: busy, FreeAtMs: now.Add(80 * time.Minute).UnixMilli()}), nil, w)
	if !strings.Contains(got, "busy until 23:20") {
		t.Error(got)
	}
}

func TestTableHasARowForEachReasonAndARemedy(t *testing.T) {
	declines := []*marketv1.Decline{
		{Reason: gone}, {Reason: price, Price: 350_000}, {Reason: price, Price: 350_000},
		{Reason: policy, Text: "the owner lends no network access"},
	}
	want := []DeclineRow{
		{Reason: "price", Count: 2, Detail: "price floor 0.35 > your 0.30", Remedy: "offer at least 0.35"},
		{Reason: "policy", Count: 1, Detail: "the owner lends no network access", Remedy: "ask other workers"},
		{Reason: "gone", Count: 1, Detail: "awarded to somebody else meanwhile", Remedy: "try again"},
	}
	if diff := cmp.Diff(want, DeclineTable(declines, wants())); diff != "" {
		t.Error(diff)
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	for n, name := range marketv1.DeclineReason_name {
		reason := marketv1.DeclineReason(n)
		rows := DeclineTable(times(1, &marketv1.Decline{Reason: reason}), wants())
		if len(rows) != 1 || rows[0].Reason == "" || rows[0].Detail == "" {
			t.Errorf("%s: %+v", name, rows)
		}
		if explained := rows[0].Detail != "gave no reason"; explained != (reason != noReason) {
			t.Errorf("%s: %+v", name, rows)
		}
	}
}

func FuzzSummarizeDeclines(f *testing.F) {
	for _, d := range []*marketv1.Decline{
		{Reason: price, Price: 350_000}, {Reason: busy, FreeAtMs: -1}, {Reason: 99, Text: "\x1b[2J\u202e"},
		{Reason: tooLong, DurationMs: -1 << 63}, {Reason: vram, VramBytes: ^uint64(0)},
	} {
		b, err := proto.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d marketv1.Decline
		if proto.Unmarshal(b, &d) != nil {
			return
		}
		s := SummarizeDeclines(times(2, &d), nil, wants())
		if s == "" || len(s) > 1000 || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("%v: %q", &d, s)
		}
	})
}
