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

// MayBid decides whether a worker bids for what was announced. Exactly one of
// the two results is not zero.
//
// A decline gives the reason that matters most to whoever asks: first what this
// worker can never do, then that it takes no work, then the price, and only
// then that it is busy, because waiting is advice only where nothing else is in the way. Every
// term in a decline is one that would have to be met, so one term is a near miss.
// The announcement's hash is left to the caller.
func MayBid(now time.Time, w Worker, a *marketv1.Announcement) (Willing, *marketv1.Decline) {
	if d := cannotAnswer(now, w, a); d != nil {
		return Willing{}, d
	}
	q := question{worker: w, wanted: a, need: Requirement(a.GetGpu())}
	for _, rule := range rules {
		if d := rule(q); d != nil {
			q.addPrice(d)
			q.addDuration(d)
			return Willing{}, d
		}
	}
	devices, price, ok := q.lend(w.Free)
	if !ok || price > a.GetMaxPrice() {
		return Willing{}, q.busy()
	}
	return Willing{Devices: devices, Price: price}, nil
}

// cannotAnswer refuses what is not a question to this worker at all.
func cannotAnswer(now time.Time, w Worker, a *marketv1.Announcement) *marketv1.Decline {
	if a.GetNetwork() != w.Network {
		return decline(marketv1.DeclineReason_DECLINE_REASON_INVALID, "this worker is in the network %s", w.Network)
	}
	if err := job.CheckFresh(now, a.GetIssuedMs(), a.GetExpiresMs()); err != nil {
		return decline(marketv1.DeclineReason_DECLINE_REASON_EXPIRED, "%v", err)
	}
	return nil
}

// rules are asked in this order, and the first decline is given.
var rules = []func(question) *marketv1.Decline{
	question.region,
	question.platform,
	question.machine,
	question.devices,
	question.access,
	question.image,
	question.duration,
	question.draining,
	question.room,
	question.price,
	question.withheld,
}

// question is one announcement put to one worker.
type question struct {
	worker Worker
	wanted *marketv1.Announcement
	need   gpu.Requirement
}

func (q question) region() *marketv1.Decline {
	if InRegion(q.worker.Region, q.wanted.GetRegions()) {
		return nil
	}
	if q.worker.Region == "" {
		return decline(marketv1.DeclineReason_DECLINE_REASON_REGION, "in a region that the owner does not name")
	}
	return decline(marketv1.DeclineReason_DECLINE_REASON_REGION, "in the region %s", q.worker.Region)
}

func (q question) platform() *marketv1.Decline {
	if has := q.worker.Machine.GetPlatform(); has != q.wanted.GetPlatform() {
		return decline(marketv1.DeclineReason_DECLINE_REASON_PLATFORM, "platform %s, not %s", has, q.wanted.GetPlatform())
	}
	return nil
}

func (q question) machine() *marketv1.Decline {
	var short []string
	has, want := q.worker.Machine, q.wanted.GetResources()
	if cores := uint64(has.GetCpus()) * 1000; want.GetCpuMillis() > cores {
		short = append(short, fmt.Sprintf("%d CPU cores", has.GetCpus()))
	}
	if want.GetMemoryBytes() > has.GetMemoryBytes() {
		short = append(short, gpu.FormatVRAM(has.GetMemoryBytes())+" of memory")
	}
	if want.GetDiskBytes() > has.GetDiskBytes() {
		short = append(short, gpu.FormatVRAM(has.GetDiskBytes())+" of disk")
	}
	if len(short) > 0 {
		return decline(marketv1.DeclineReason_DECLINE_REASON_MACHINE, "only %s", strings.Join(short, " and "))
	}
	return nil
}

// lacks gives the reason for what devices lack.
var lacks = map[gpu.Lack]marketv1.DeclineReason{
	gpu.LackCount:      marketv1.DeclineReason_DECLINE_REASON_COUNT,
	gpu.LackSimulated:  marketv1.DeclineReason_DECLINE_REASON_SIMULATED,
	gpu.LackMIG:        marketv1.DeclineReason_DECLINE_REASON_MIG,
	gpu.LackModel:      marketv1.DeclineReason_DECLINE_REASON_MODEL,
	gpu.LackCapability: marketv1.DeclineReason_DECLINE_REASON_CAPABILITY,
	gpu.LackDriver:     marketv1.DeclineReason_DECLINE_REASON_DRIVER,
	gpu.LackCUDA:       marketv1.DeclineReason_DECLINE_REASON_DRIVER,
	gpu.LackVRAM:       marketv1.DeclineReason_DECLINE_REASON_VRAM,
	gpu.LackNVLink:     marketv1.DeclineReason_DECLINE_REASON_NVLINK,
	gpu.LackExclusive:  marketv1.DeclineReason_DECLINE_REASON_COUNT,
}

// devices asks whether all devices together, free or not, would do.
func (q question) devices() *marketv1.Decline {
	_, m := gpu.Match(q.worker.Devices, q.need)
	reason, ok := lacks[m.Lack]
	if !ok {
		return nil
	}
	d := decline(reason, "%s", m)
	d.VramBytes, d.Capability, d.Driver, d.Cuda = m.VRAM, string(m.Capability), string(m.Driver), string(m.CUDA)
	d.Count = uint32(m.Linked)
	if m.Lack == gpu.LackCount || m.Lack == gpu.LackExclusive {
		d.Count = uint32(m.Count)
	}
	return d
}

// access asks for the owner's leave: what a task does out there comes from this machine.
func (q question) access() *marketv1.Decline {
	if job.AccessOf(q.wanted.GetEgress()) <= q.worker.Access {
		return nil
	}
	if q.worker.Access == job.AccessNone {
		return decline(marketv1.DeclineReason_DECLINE_REASON_POLICY, "the owner lends no network access")
	}
	return decline(marketv1.DeclineReason_DECLINE_REASON_POLICY, "network access to listed hosts only")
}

func (q question) tooLong() bool {
	most := q.worker.MaxDuration
	return most > 0 && q.wanted.GetMaxDurationMs() > most.Milliseconds()
}

func (q question) tooShort() bool {
	return q.wanted.GetMaxDurationMs() < q.worker.MinDuration.Milliseconds()
}

func (q question) duration() *marketv1.Decline {
	if q.tooShort() {
		return decline(marketv1.DeclineReason_DECLINE_REASON_DURATION, "leases of at least %s", q.worker.MinDuration)
	}
	if !q.tooLong() {
		return nil
	}
	return decline(marketv1.DeclineReason_DECLINE_REASON_DURATION, "leases of at most %s", q.worker.MaxDuration)
}

func (q question) draining() *marketv1.Decline {
	if q.worker.Draining {
		return decline(marketv1.DeclineReason_DECLINE_REASON_DRAINING, "takes no new work at the moment")
	}
	return nil
}

// room asks whether the task's disk fits beside what lies on the machine's now.
func (q question) room() *marketv1.Decline {
	if q.worker.DiskTaken == 0 {
		return nil
	}
	no := marketv1.DeclineReason_DECLINE_REASON_FULL
	left := q.worker.Machine.GetDiskBytes() - q.worker.DiskTaken
	switch want := cmp.Or(q.wanted.GetResources().GetDiskBytes(), job.LeastDisk); {
	case left == 0:
		return decline(no, "its disk is full")
	case want > left:
		return decline(no, "%s of its disk are free at the moment", gpu.FormatVRAM(left))
	}
	return nil
}

func (q question) price() *marketv1.Decline {
	_, price, ok := q.lend(q.worker.Devices)
	if ok && price > q.wanted.GetMaxPrice() {
		return decline(marketv1.DeclineReason_DECLINE_REASON_PRICE, "price floor %s", job.FormatPrice(price))
	}
	return nil
}

// withheld says so when the owner's rules are in the way, and not other leases. It does
// not say which rule: whether somebody sits at the machine is nobody's business.
func (q question) withheld() *marketv1.Decline {
	if _, price, ok := q.lend(q.worker.Lent); ok && price <= q.wanted.GetMaxPrice() {
		return nil
	}
	d := decline(marketv1.DeclineReason_DECLINE_REASON_POLICY, "the owner does not lend what this needs at the moment")
	if !q.worker.BackAt.IsZero() {
		d.FreeAtMs = q.worker.BackAt.UnixMilli()
	}
	return d
}

func (q question) busy() *marketv1.Decline {
	d := decline(marketv1.DeclineReason_DECLINE_REASON_BUSY, "devices are in use")
	if !q.worker.FreeAt.IsZero() {
		d.FreeAtMs = q.worker.FreeAt.UnixMilli()
	}
	return d
}

// addPrice fills in the price when it would have to be met as well. Where the
// devices cannot do the job, it is the price of what the decline says they can do.
func (q question) addPrice(d *marketv1.Decline) {
	if n := int(d.GetCount()); n > 0 || d.GetReason() == marketv1.DeclineReason_DECLINE_REASON_COUNT {
		q.need.Count = n
	}
	q.need.VRAM = cmp.Or(d.GetVramBytes(), q.need.VRAM)
	q.need.Capability = cmp.Or(gpu.Version(d.GetCapability()), q.need.Capability)
	q.need.Driver = cmp.Or(gpu.Version(d.GetDriver()), q.need.Driver)
	q.need.CUDA = cmp.Or(gpu.Version(d.GetCuda()), q.need.CUDA)
	if _, price, ok := q.lend(q.worker.Devices); ok && price > q.wanted.GetMaxPrice() {
		d.Price = price
	}
}

func (q question) addDuration(d *marketv1.Decline) {
	switch {
	case q.tooLong():
		d.DurationMs = q.worker.MaxDuration.Milliseconds()
	case q.tooShort():
		d.DurationMs = q.worker.MinDuration.Milliseconds()
	}
}

// lend picks devices among those the requester pays for, or else among those it
// would with the least more, and gives the price of each.
func (q question) lend(devices []gpu.Device) ([]gpu.Device, uint64, bool) {
	prices := []uint64{q.wanted.GetMaxPrice()}
	for _, d := range devices {
		if p := q.worker.price(d); p > q.wanted.GetMaxPrice() {
			prices = append(prices, p)
		}
	}
	slices.Sort(prices)
	for _, limit := range slices.Compact(prices) {
		within := slices.DeleteFunc(slices.Clone(devices), func(d gpu.Device) bool { return q.worker.price(d) > limit })
		if lent, m := gpu.Match(within, q.need); m.OK() {
			return lent, q.dearest(lent), true
		}
	}
	return nil, 0, false
}

// dearest is the price of a set of devices: one price for each, so the highest.
func (q question) dearest(devices []gpu.Device) uint64 {
	return q.worker.price(slices.MaxFunc(devices, func(a, b gpu.Device) int {
		return cmp.Compare(q.worker.price(a), q.worker.price(b))
	}))
}

func decline(reason marketv1.DeclineReason, format string, args ...any) *marketv1.Decline {
	return &marketv1.Decline{Reason: reason, Text: job.CleanText(fmt.Sprintf(format, args...))}
}
