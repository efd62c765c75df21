package market

import (
	stdcmp "cmp"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	price     = marketv1.DeclineReason_DECLINE_REASON_PRICE
	count     = marketv1.DeclineReason_DECLINE_REASON_COUNT
	vram      = marketv1.DeclineReason_DECLINE_REASON_VRAM
	model     = marketv1.DeclineReason_DECLINE_REASON_MODEL
	busy      = marketv1.DeclineReason_DECLINE_REASON_BUSY
	sim       = marketv1.DeclineReason_DECLINE_REASON_SIMULATED
	machine   = marketv1.DeclineReason_DECLINE_REASON_MACHINE
	platform  = marketv1.DeclineReason_DECLINE_REASON_PLATFORM
	policy    = marketv1.DeclineReason_DECLINE_REASON_POLICY
	oldDriver = marketv1.DeclineReason_DECLINE_REASON_DRIVER
	lowCC     = marketv1.DeclineReason_DECLINE_REASON_CAPABILITY
	unlinked  = marketv1.DeclineReason_DECLINE_REASON_NVLINK
	noSlice   = marketv1.DeclineReason_DECLINE_REASON_MIG
	tooLong   = marketv1.DeclineReason_DECLINE_REASON_DURATION
	full      = marketv1.DeclineReason_DECLINE_REASON_FULL
	draining  = marketv1.DeclineReason_DECLINE_REASON_DRAINING
	expired   = marketv1.DeclineReason_DECLINE_REASON_EXPIRED
	invalid   = marketv1.DeclineReason_DECLINE_REASON_INVALID
	gone      = marketv1.DeclineReason_DECLINE_REASON_GONE
	noReason  = marketv1.DeclineReason_DECLINE_REASON_UNSPECIFIED
	hour      = int64(time.Hour / time.Millisecond)
	oneCredit = job.Micro
)

func TestWorkersBidTheSmallestDeviceAtItsPrice(t *testing.T) {
	for _, c := range []struct {
		name    string
		worker  func(*Worker)
		wanted  func(*marketv1.Announcement)
		devices []string
		price   uint64
	}{
		{"at the floor", func(*Worker) {}, func(*marketv1.Announcement) {}, []string{"rtx-3070"}, 200_000},
		{"at the device's own price", func(w *Worker) { w.Devices[5].Price = 250_000 }, func(*marketv1.Announcement) {},
			[]string{"rtx-3070"}, 250_000},
		{"never below the floor", func(w *Worker) { w.Devices[5].Price = 1 }, func(*marketv1.Announcement) {},
			[]string{"rtx-3070"}, 200_000},
		{"another device when the smallest is too dear", func(w *Worker) { w.Devices[5].Price = 400_000 }, func(*marketv1.Announcement) {},
			[]string{"rtx-3080"}, 200_000},
		{"each at the price of the dearest", func(w *Worker) { w.Devices[0].Price = 280_000 },
			func(a *marketv1.Announcement) { a.Gpu.Count = 2 }, []string{"rtx-3060", "rtx-3060"}, 280_000},
		{"at exactly the limit", func(w *Worker) { w.Floor = 300_000 }, func(*marketv1.Announcement) {}, []string{"rtx-3070"}, 300_000},
		{"for nothing", func(w *Worker) { w.Floor = 0 }, func(a *marketv1.Announcement) { a.MaxPrice = 0 }, []string{"rtx-3070"}, 0},
		{"for the longest lease", func(*Worker) {}, func(a *marketv1.Announcement) { a.MaxDurationMs = 24 * hour },
			[]string{"rtx-3070"}, 200_000},
		{"without a limit of its own", func(w *Worker) { w.MaxDuration = 0 },
			func(a *marketv1.Announcement) { a.MaxDurationMs = 2000 * hour }, []string{"rtx-3070"}, 200_000},
		{"with the network that is lent", func(w *Worker) { w.Access = job.AccessPublic },
			func(a *marketv1.Announcement) { a.Egress = &marketv1.Egress{Hosts: []string{"example.org"}} }, []string{"rtx-3070"}, 200_000},
		{"what is free", func(w *Worker) { w.Free = w.Devices[:5] }, func(*marketv1.Announcement) {}, []string{"rtx-3080"}, 200_000},
		{"what fits on the disk", func(w *Worker) { w.DiskTaken = 400 * gpu.GiB },
			func(a *marketv1.Announcement) { a.Resources.DiskBytes = 100 * gpu.GiB }, []string{"rtx-3070"}, 200_000},
		{"simulated when allowed", func(w *Worker) { w.Devices = madeUp("rtx-4090"); w.Lent, w.Free = w.Devices, w.Devices },
			func(a *marketv1.Announcement) { a.Gpu.AllowSimulated = true }, []string{"rtx-4090"}, 200_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a := worker(rig()), wanted()
			c.worker(&w)
			c.wanted(a)
			got, declined := MayBid(now, w, a)
			if declined != nil {
				t.Fatalf("declined: %v", declined)
			}
			var models []string
			for _, d := range got.Devices {
				models = append(models, d.Model)
			}
			if diff := cmp.Diff(c.devices, models); diff != "" || got.Price != c.price {
				t.Errorf("price %d, want %d; devices (-want +got):\n%s", got.Price, c.price, diff)
			}
		})
	}
}

func TestDeclinesGiveTheReasonThatMattersMost(t *testing.T) {
	freeAt := now.Add(80 * time.Minute)
	versions := func(w *Worker) {
		for i := range w.Devices {
			w.Devices[i].Capability, w.Devices[i].Driver, w.Devices[i].CUDA = "8.6", "550.54.14", "12.4"
		}
	}
	boards := func(w *Worker) { w.Devices = gputest.TwoBoards(); w.Lent, w.Free = w.Devices, w.Devices }
	allBusy := func(w *Worker) { w.Free, w.FreeAt = nil, freeAt }
	for _, c := range []struct {
		name   string
		worker func(*Worker)
		wanted func(*marketv1.Announcement)
		want   *marketv1.Decline
	}{
		{"another network", func(w *Worker) { w.Network = "lab" }, nil,
			&marketv1.Decline{Reason: invalid, Text: "this worker is in the network lab"}},
		{"expired", nil, func(a *marketv1.Announcement) { a.ExpiresMs = now.UnixMilli() - 2000 },
			&marketv1.Decline{Reason: expired, Text: "statement expired 2s ago"}},
		{"price", func(w *Worker) { w.Floor = 350_000 }, nil,
			&marketv1.Decline{Reason: price, Price: 350_000, Text: "price floor 0.35"}},
		{"the lowest price at which it would", func(w *Worker) {
			priced(w.Devices, 900_000, 500_000, 800_000, 900_000, 700_000, 600_000, 800_000)
		}, nil, &marketv1.Decline{Reason: price, Price: 500_000, Text: "price floor 0.50"}},
		{"no GPU at all", func(w *Worker) { w.Devices, w.Free = nil, nil }, nil,
			&marketv1.Decline{Reason: count, Text: "only 0 matching devices"}},
		{"too few", nil, func(a *marketv1.Announcement) { a.Gpu.Count = 8 },
			&marketv1.Decline{Reason: count, Count: 5, Text: "only 5 matching devices"}},
		{"too few and too dear", func(w *Worker) { w.Floor = oneCredit }, func(a *marketv1.Announcement) { a.Gpu.Count = 8 },
			&marketv1.Decline{Reason: count, Count: 5, Price: oneCredit, Text: "only 5 matching devices"}},
		{"too small", nil, func(a *marketv1.Announcement) { a.Gpu.VramBytes = 48 * gpu.GiB },
			&marketv1.Decline{Reason: vram, VramBytes: 24 * gpu.GiB, Text: "VRAM 24 GiB"}},
		{"too small, too dear and too short", func(w *Worker) { w.Floor, w.MaxDuration = oneCredit, time.Minute },
			func(a *marketv1.Announcement) { a.Gpu.VramBytes = 48 * gpu.GiB },
			&marketv1.Decline{Reason: vram, VramBytes: 24 * gpu.GiB, Price: oneCredit, DurationMs: 60_000, Text: "VRAM 24 GiB"}},
		{"too small beats busy", allBusy, func(a *marketv1.Announcement) { a.Gpu.VramBytes = 48 * gpu.GiB },
			&marketv1.Decline{Reason: vram, VramBytes: 24 * gpu.GiB, Text: "VRAM 24 GiB"}},
		{"another model", func(w *Worker) { w.Devices = gputest.EightH100(); w.Lent, w.Free = w.Devices, w.Devices },
			func(a *marketv1.Announcement) { a.Gpu.Models = []string{"rtx-4090"} },
			&marketv1.Decline{Reason: model, Text: "only h100-sxm"}},
		{"only simulated", func(w *Worker) { w.Devices = madeUp("rtx-4090:2"); w.Lent, w.Free = w.Devices, w.Devices }, nil,
			&marketv1.Decline{Reason: sim, Text: "only simulated devices"}},
		{"platform beats everything of the machine", func(w *Worker) { w.Devices = nil }, func(a *marketv1.Announcement) { a.Platform = "linux/arm64" },
			&marketv1.Decline{Reason: platform, Text: "platform linux/amd64, not linux/arm64"}},
		{"machine", nil, func(a *marketv1.Announcement) { a.Resources.CpuMillis, a.Resources.MemoryBytes = 16_001, 65*gpu.GiB },
			&marketv1.Decline{Reason: machine, Text: "only 16 CPU cores and 64 GiB of memory"}},
		{"disk", nil, func(a *marketv1.Announcement) { a.Resources.DiskBytes = 1 << 40 },
			&marketv1.Decline{Reason: machine, Text: "only 500 GiB of disk"}},
		{"too long", nil, func(a *marketv1.Announcement) { a.MaxDurationMs = 25 * hour },
			&marketv1.Decline{Reason: tooLong, DurationMs: 24 * hour, Text: "leases of at most 24h0m0s"}},
		{"draining", func(w *Worker) { w.Draining = true }, nil,
			&marketv1.Decline{Reason: draining, Text: "takes no new work at the moment"}},
		{"a full disk", func(w *Worker) { w.DiskTaken = w.Machine.DiskBytes }, nil,
			&marketv1.Decline{Reason: full, Text: "its disk is full"}},
		{"no room for the disk that is asked for", func(w *Worker) { w.DiskTaken = 400 * gpu.GiB },
			func(a *marketv1.Announcement) { a.Resources.DiskBytes = 101 * gpu.GiB },
			&marketv1.Decline{Reason: full, Text: "100 GiB of its disk are free at the moment"}},
		{"no room for the least disk", func(w *Worker) { w.DiskTaken = w.Machine.DiskBytes - job.LeastDisk + 1 },
			func(a *marketv1.Announcement) { a.Resources.DiskBytes = 0 },
			&marketv1.Decline{Reason: full, Text: "255 MiB of its disk are free at the moment"}},
		{"too small beats a full disk", func(w *Worker) { w.DiskTaken = w.Machine.DiskBytes },
			func(a *marketv1.Announcement) { a.Gpu.VramBytes = 48 * gpu.GiB },
			&marketv1.Decline{Reason: vram, VramBytes: 24 * gpu.GiB, Text: "VRAM 24 GiB"}},
		{"price beats busy", func(w *Worker) { allBusy(w); w.Floor = 350_000 }, nil,
			&marketv1.Decline{Reason: price, Price: 350_000, Text: "price floor 0.35"}},
		{"busy", allBusy, nil,
			&marketv1.Decline{Reason: busy, FreeAtMs: freeAt.UnixMilli(), Text: "devices are in use"}},
		{"busy for who knows how long", func(w *Worker) { w.Free = nil }, nil,
			&marketv1.Decline{Reason: busy, Text: "devices are in use"}},
		{"compute capability", versions, func(a *marketv1.Announcement) { a.Gpu.Capability = "9.0" },
			&marketv1.Decline{Reason: lowCC, Capability: "8.6", Text: "compute capability 8.6"}},
		{"driver", versions, func(a *marketv1.Announcement) { a.Gpu.Driver = "580" },
			&marketv1.Decline{Reason: oldDriver, Driver: "550.54.14", Text: "driver 550.54.14"}},
		{"CUDA", versions, func(a *marketv1.Announcement) { a.Gpu.Cuda = "12.9" },
			&marketv1.Decline{Reason: oldDriver, Cuda: "12.4", Text: "CUDA 12.4"}},
		{"a version that nobody knows", nil, func(a *marketv1.Announcement) { a.Gpu.Cuda = "12.9" },
			&marketv1.Decline{Reason: oldDriver, Text: "CUDA not known"}},
		{"links", boards, func(a *marketv1.Announcement) { a.Gpu.Count, a.Gpu.Nvlink = 5, true },
			&marketv1.Decline{Reason: unlinked, Count: 4, Text: "at most 4 devices linked by NVLink"}},
		{"slices", boards, func(a *marketv1.Announcement) { a.Gpu.Mig = "1g.10gb" },
			&marketv1.Decline{Reason: noSlice, Text: "only whole cards"}},
		{"exclusive", boards, func(a *marketv1.Announcement) { a.Gpu.Exclusive = true },
			&marketv1.Decline{Reason: count, Count: 8, Text: "exclusive means all 8 devices"}},
		{"no network is lent", nil, func(a *marketv1.Announcement) { a.Egress = &marketv1.Egress{Hosts: []string{"example.org"}} },
			&marketv1.Decline{Reason: policy, Text: "the owner lends no network access"}},
		{"less of the network is lent", func(w *Worker) { w.Access = job.AccessHosts },
			func(a *marketv1.Announcement) { a.Egress = &marketv1.Egress{Public: true} },
			&marketv1.Decline{Reason: policy, Text: "network access to listed hosts only"}},
		{"the owner's rules", func(w *Worker) { w.Lent, w.Free, w.BackAt = nil, nil, freeAt }, nil,
			&marketv1.Decline{Reason: policy, FreeAtMs: freeAt.UnixMilli(), Text: "the owner does not lend what this needs at the moment"}},
		{"the owner lends only what is too dear", func(w *Worker) {
			priced(w.Devices, oneCredit, oneCredit, oneCredit, oneCredit, oneCredit, 0, oneCredit)
			w.Lent, w.Free = w.Devices[:5], w.Devices[:5]
		}, nil, &marketv1.Decline{Reason: policy, Text: "the owner does not lend what this needs at the moment"}},
		{"the affordable ones are busy", func(w *Worker) {
			for i := range w.Devices[:6] {
				w.Devices[i].Price = oneCredit
			}
			w.Devices[5].Price = 0
			w.Free = w.Devices[:5]
		}, nil, &marketv1.Decline{Reason: busy, Text: "devices are in use"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a := worker(rig()), wanted()
			if c.worker != nil {
				c.worker(&w)
			}
			if c.wanted != nil {
				c.wanted(a)
			}
			got, declined := MayBid(now, w, a)
			if diff := cmp.Diff(c.want, declined, protocmp.Transform()); diff != "" || got.Devices != nil || got.Price != 0 {
				t.Errorf("willing %v; decline (-want +got):\n%s", got, diff)
			}
		})
	}
}

var anyWorker = rapid.Custom(func(t *rapid.T) Worker {
	slugs := rapid.SliceOfN(rapid.SampledFrom([]string{"gtx-1660-super", "rtx-3060", "rtx-3080", "rtx-4090", "h100-sxm"}), 0, 6).Draw(t, "models")
	w := worker(gputest.Machine(slugs...))
	for i := range w.Devices {
		w.Devices[i].Price = rapid.Uint64Range(0, 10).Draw(t, "price") * 100_000
		w.Devices[i].Capability = gpu.Version(rapid.SampledFrom([]string{"7.5", "8.6", "9.0"}).Draw(t, "capability"))
		w.Devices[i].CUDA = gpu.Version(rapid.SampledFrom([]string{"11.8", "12.4", "13.0"}).Draw(t, "CUDA"))
		if rapid.Bool().Draw(t, "linked") {
			w.Devices[i].NVLink = []string{"a switch"}
		}
		w.Devices[i].Simulated = rapid.IntRange(0, 4).Draw(t, "simulated") == 0
	}
	w.Lent, w.Free = w.Devices, nil
	for _, d := range w.Devices {
		if rapid.IntRange(0, 2).Draw(t, "free") > 0 {
			w.Free = append(w.Free, d)
		}
	}
	w.FreeAt = now.Add(time.Hour)
	w.Floor = rapid.Uint64Range(0, 10).Draw(t, "floor") * 100_000
	w.Draining = rapid.IntRange(0, 9).Draw(t, "draining") == 0
	return w
})

var anyWanted = rapid.Custom(func(t *rapid.T) *marketv1.Announcement {
	a := wanted()
	a.Gpu.Count = rapid.Uint32Range(1, 4).Draw(t, "count")
	a.Gpu.VramBytes = rapid.SampledFrom([]uint64{0, 8, 12, 24, 80, 141}).Draw(t, "GiB") * gpu.GiB
	a.Gpu.AllowSimulated = rapid.Bool().Draw(t, "allow simulated")
	a.Gpu.Capability = rapid.SampledFrom([]string{"", "", "8.0", "9.0"}).Draw(t, "capability")
	a.Gpu.Cuda = rapid.SampledFrom([]string{"", "", "12.0", "13.0"}).Draw(t, "CUDA")
	a.Gpu.Nvlink = rapid.IntRange(0, 3).Draw(t, "nvlink") == 0
	a.MaxPrice = rapid.Uint64Range(0, 10).Draw(t, "max price") * 100_000
	a.MaxDurationMs = rapid.Int64Range(1, 48).Draw(t, "hours") * hour
	return a
})

func TestEveryBidIsAcceptableToWhoeverAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, a := anyWorker.Draw(t, "worker"), anyWanted.Draw(t, "announcement")
		willing, declined := MayBid(now, w, a)
		if (declined == nil) == (willing.Devices == nil) {
			t.Fatalf("willing %v and decline %v", willing, declined)
		}
		if declined != nil {
			return
		}
		b := &marketv1.Bid{Price: willing.Price}
		for _, d := range willing.Devices {
			island := uint32(0)
			if len(d.NVLink) > 0 {
				island = 1
			}
			b.Devices = append(b.Devices, &marketv1.Device{
				Model: d.Model, VramBytes: d.VRAM, Simulated: d.Simulated,
				Capability: string(d.Capability), Cuda: string(d.CUDA), Island: island,
			})
			b.Simulated = b.Simulated || d.Simulated
			if w.price(d) > willing.Price {
				t.Fatalf("%v is lent below its price", d)
			}
		}
		if b.Simulated && !a.Gpu.AllowSimulated {
			t.Fatal("a simulated device for a job that wants real ones")
		}
		if err := Acceptable(Wants{MaxPrice: a.MaxPrice, Requirement: a.Gpu}, Candidate{Bid: b}); err != nil {
			t.Fatalf("bid %v: %v", b, err)
		}
	})
}

// The terms in a decline are not a guess: whoever meets all of them gets a bid
// from the same worker, once it is free and takes work.
func TestMeetingTheTermsOfADeclineGetsABid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, a := anyWorker.Draw(t, "worker"), anyWanted.Draw(t, "announcement")
		_, d := MayBid(now, w, a)
		if d == nil || !negotiable(d.GetReason()) || (d.GetReason() == count && d.GetCount() == 0) {
			t.Skip()
		}
		near := proto.Clone(a).(*marketv1.Announcement)
		near.MaxPrice = max(near.MaxPrice, d.GetPrice())
		if d.GetCount() > 0 {
			near.Gpu.Count = d.GetCount()
		}
		near.Gpu.VramBytes = stdcmp.Or(d.GetVramBytes(), near.Gpu.VramBytes)
		near.Gpu.Capability = stdcmp.Or(d.GetCapability(), near.Gpu.Capability)
		near.Gpu.Cuda = stdcmp.Or(d.GetCuda(), near.Gpu.Cuda)
		if d.GetDurationMs() > 0 {
			near.MaxDurationMs = d.GetDurationMs()
		}
		w.Draining, w.Lent, w.Free = false, w.Devices, w.Devices
		if _, again := MayBid(now, w, near); again != nil {
			t.Fatalf("declined with %v, and then with %v", d, again)
		}
	})
}

func TestTheOrderOfDevicesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, a := anyWorker.Draw(t, "worker"), anyWanted.Draw(t, "announcement")
		willing, declined := MayBid(now, w, a)
		shuffle := func(ds []gpu.Device) []gpu.Device {
			out := append([]gpu.Device(nil), ds...)
			rand.New(rand.NewPCG(4, 2)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
			return out
		}
		w.Devices, w.Lent, w.Free = shuffle(w.Devices), shuffle(w.Lent), shuffle(w.Free)
		again, declinedAgain := MayBid(now, w, a)
		if diff := cmp.Diff(willing, again) + cmp.Diff(declined, declinedAgain, protocmp.Transform()); diff != "" {
			t.Fatal(diff)
		}
	})
}
