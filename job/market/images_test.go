package market

import (
	"testing"
	"time"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestAnOwnerRunsTheImagesThatTheRulesName(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name  string
		rules Images
		ask   func(*marketv1.Announcement)
		text  string // of the decline; empty: a bid
	}{
		{"no rules", Images{}, func(a *marketv1.Announcement) { a.ImageBytes = 900 * gib }, ""},
		{"small enough", Images{MaxBytes: gib}, func(a *marketv1.Announcement) { a.ImageBytes = gib }, ""},
		{"too large", Images{MaxBytes: gib}, func(a *marketv1.Announcement) { a.ImageBytes = gib + 1 }, "images of at most 1 GiB"},
		{"too many layers", Images{MaxLayers: 5}, func(a *marketv1.Announcement) { a.ImageLayers = 6 }, "images of at most 5 layers"},
		{"an allowed registry", Images{Allow: []string{"ghcr.io"}}, func(a *marketv1.Announcement) { a.ImageName = "ghcr.io/o/p:1" }, ""},
		{"an allowed image by its short name", Images{Allow: []string{"docker.io/library"}}, func(a *marketv1.Announcement) { a.ImageName = "alpine" }, ""},
		{"one of another registry", Images{Allow: []string{"ghcr.io", "docker.io/library"}}, func(a *marketv1.Announcement) { a.ImageName = "o/p" },
			"images of ghcr.io, docker.io/library only"},
		{"a name that only begins alike", Images{Allow: []string{"ghcr.io/o"}}, func(a *marketv1.Announcement) { a.ImageName = "ghcr.io/other/p" },
			"images of ghcr.io/o only"},
		{"an image without a name", Images{Allow: []string{"ghcr.io"}}, func(*marketv1.Announcement) {}, "public images of ghcr.io only"},
		{"a denied one", Images{Deny: []string{"docker.io/miner"}}, func(a *marketv1.Announcement) { a.ImageName = "miner/xmr:latest" },
			"the owner does not run docker.io/miner/xmr"},
		{"denied and allowed", Images{Allow: []string{"ghcr.io"}, Deny: []string{"ghcr.io/o"}}, func(a *marketv1.Announcement) { a.ImageName = "ghcr.io/o/p" },
			"the owner does not run ghcr.io/o/p"},
		{"without a name where some are denied", Images{Deny: []string{"ghcr.io"}}, func(*marketv1.Announcement) {}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a := worker(rig()), wanted()
			w.Images = c.rules
			c.ask(a)
			_, d := MayBid(time.UnixMilli(a.IssuedMs), w, a)
			if d.GetText() != c.text || (c.text != "" && d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_IMAGE) {
				t.Errorf("declined %v, want %q", d, c.text)
			}
		})
	}
}
