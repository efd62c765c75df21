package market_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/market"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestAStrangerGetsAsMuchAsTheOwnerAllows(t *testing.T) {
	one := market.Strangers{Leases: 1, Budget: time.Hour}
	for _, c := range []struct {
		name string
		rule market.Strangers
		who  market.Acquaintance
		text string // of the decline; empty: none
	}{
		{"nothing is known of it", one, market.Acquaintance{}, ""},
		{"it has a lease", one, market.Acquaintance{Leases: 1}, "one lease at a time"},
		{"its neighbour has one", one, market.Acquaintance{Nearby: 1}, "block of addresses"},
		{"two are allowed", market.Strangers{Leases: 2, Budget: time.Hour}, market.Acquaintance{Leases: 1, Nearby: 1}, ""},
		{"three are too many", market.Strangers{Leases: 2, Budget: time.Hour}, market.Acquaintance{Leases: 2}, "2 leases at a time"},
		{"the day's budget is used up", one, market.Acquaintance{Unpaid: time.Hour}, "today's 1h0m0s"},
		{"almost", one, market.Acquaintance{Unpaid: time.Hour - 1}, ""},
		{"no stranger gets anything", market.Strangers{Leases: 1}, market.Acquaintance{}, "for nothing already"},
		{"one that paid", one, market.Acquaintance{Known: true, Leases: 9, Nearby: 9, Unpaid: 9 * time.Hour}, ""},
	} {
		d := c.rule.Decline(c.who)
		if (d != nil) != (c.text != "") || !strings.Contains(d.GetText(), c.text) {
			t.Errorf("%s: %v; want %q", c.name, d, c.text)
		}
		if d != nil && (d.Reason != marketv1.DeclineReason_DECLINE_REASON_LIMIT || len(d.Text) > 200) {
			t.Errorf("%s: %v", c.name, d)
		}
	}
}
