package job

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// CheckOffer says everything that is wrong with an offer.
func CheckOffer(o *marketv1.Offer) error {
	p := newProblems()
	p.version(o.GetVersion())
	p.network(o.GetNetwork())
	p.size("worker", o.GetWorker(), KeySize)
	p.life(o.GetIssuedMs(), o.GetExpiresMs(), MaxOfferLife)
	p.devices(o.GetDevices(), o.GetSimulated())
	p.machine(o.GetMachine())
	p.peerRecord(o.GetPeerRecord())
	p.want(int(o.GetFreeDevices()) <= len(o.GetDevices()), "free_devices",
		"want at most the %d devices there are, not %d", len(o.GetDevices()), o.GetFreeDevices())
	if o.GetMaxDurationMs() != 0 {
		p.span("max_duration_ms", o.GetMaxDurationMs(), MinDuration, MaxDuration)
	}
	p.span("min_duration_ms", o.GetMinDurationMs(), 0, MaxDuration)
	p.region("region", o.GetRegion())
	return p.err()
}

// CheckAnnouncement says everything that is wrong with an announcement.
func CheckAnnouncement(a *marketv1.Announcement) error {
	p := newProblems()
	p.version(a.GetVersion())
	p.network(a.GetNetwork())
	p.size("requester", a.GetRequester(), KeySize)
	p.size("job_id", a.GetJobId(), len(ID{}))
	p.life(a.GetIssuedMs(), a.GetExpiresMs(), MaxAnnouncementLife)
	p.requirement(a.GetGpu())
	p.resources(a.GetResources())
	p.egress(a.GetEgress())
	p.digest("image_digest", a.GetImageDigest())
	p.platform(a.GetPlatform())
	p.most("image_bytes", a.GetImageBytes(), MaxBlobTotal)
	p.most("image_layers", uint64(a.GetImageLayers()), MaxLayers)
	p.want(len(a.GetImageBlobs()) <= MaxMarks, "image_blobs", "want at most %d, not %d", MaxMarks, len(a.GetImageBlobs()))
	p.text("image_name", a.GetImageName())
	p.most("max_price", a.GetMaxPrice(), MaxPrice)
	p.span("max_duration_ms", a.GetMaxDurationMs(), MinDuration, MaxDuration)
	p.peerRecord(a.GetPeerRecord())
	p.want(len(a.GetRegions()) <= MaxRegions, "regions", "want at most %d, not %d", MaxRegions, len(a.GetRegions()))
	for i, r := range a.GetRegions() {
		p.want(r != "", fmt.Sprintf("regions[%d]", i), "want a region")
		p.region(fmt.Sprintf("regions[%d]", i), r)
	}
	return p.err()
}

// CheckWithdrawal says everything that is wrong with a withdrawal.
func CheckWithdrawal(w *marketv1.Withdrawal) error {
	p := newProblems()
	p.version(w.GetVersion())
	p.network(w.GetNetwork())
	p.size("requester", w.GetRequester(), KeySize)
	p.size("announcement_hash", w.GetAnnouncementHash(), HashSize)
	p.most("price", w.GetPrice(), MaxPrice)
	p.want(w.GetIssuedMs() > 0, "issued_ms", "want a Unix time in ms, not %d", w.GetIssuedMs())
	return p.err()
}

// CheckBid says everything that is wrong with a bid.
func CheckBid(b *marketv1.Bid) error {
	p := newProblems()
	p.version(b.GetVersion())
	p.network(b.GetNetwork())
	p.size("worker", b.GetWorker(), KeySize)
	p.size("announcement_hash", b.GetAnnouncementHash(), HashSize)
	p.devices(b.GetDevices(), b.GetSimulated())
	p.most("price", b.GetPrice(), MaxPrice)
	p.size("nonce", b.GetNonce(), NonceSize)
	p.life(b.GetIssuedMs(), b.GetExpiresMs(), MaxBidLife)
	p.span("start_ms", b.GetStartMs(), 0, MaxDuration)
	p.span("max_absent_grace_ms", b.GetMaxAbsentGraceMs(), 0, MaxAbsentGrace)
	p.span("yield_notice_ms", b.GetYieldNoticeMs(), 0, MaxYieldNotice)
	p.region("region", b.GetRegion())
	p.most("image_percent", uint64(b.GetImagePercent()), 100)
	p.peerRecord(b.GetPeerRecord())
	return p.err()
}

// devices checks the devices of an offer or a bid, and that simulated says the truth about them.
func (p problems) devices(devices []*marketv1.Device, simulated bool) {
	if len(devices) < 1 || len(devices) > MaxGPUs {
		p.add("devices", "want 1 to %d devices, not %d", MaxGPUs, len(devices))
		return
	}
	tags := make(map[string]bool, len(devices))
	any := false
	for i, d := range devices {
		at := p.in("devices[%d]", i)
		at.size("tag", d.GetTag(), HashSize)
		at.want(!tags[string(d.GetTag())], "tag", "want each device once")
		tags[string(d.GetTag())] = true
		at.model("model", d.GetModel())
		at.most("vram_bytes", d.GetVramBytes(), MaxVRAM)
		at.most("price", d.GetPrice(), MaxPrice)
		at.dotted("capability", d.GetCapability())
		at.dotted("driver", d.GetDriver())
		at.dotted("cuda", d.GetCuda())
		at.profile("mig", d.GetMig())
		at.most("island", uint64(d.GetIsland()), MaxGPUs)
		at.want(d.GetBackMs() >= 0 && (d.GetWithheld() || d.GetBackMs() == 0), "back_ms", "want a Unix time in ms, and only of a withheld device")
		any = any || d.GetSimulated()
	}
	p.want(simulated == any, "simulated", "want %t: it is so when any device is", any)
}

func (p problems) machine(m *marketv1.Machine) {
	if m == nil {
		p.add("machine", "want what the worker measured of its host")
		return
	}
	p = p.in("machine")
	p.want(m.GetCpus() >= 1 && m.GetCpus() <= MaxCPUMillis/1000, "cpus", "want 1 to %d, not %d", MaxCPUMillis/1000, m.GetCpus())
	p.most("memory_bytes", m.GetMemoryBytes(), MaxMemory)
	p.most("disk_bytes", m.GetDiskBytes(), MaxDisk)
	p.platform(m.GetPlatform())
}

// IsRegion says whether text is a region's name: words of a-z and 0-9 between hyphens, the
// larger part first, such as "eu-west".
func IsRegion(text string) bool { return len(text) <= MaxRegion && regionName.MatchString(text) }

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// region checks a region; an empty one is not said.
func (p problems) region(field, text string) {
	p.want(text == "" || IsRegion(text), field, "want at most %d of a-z, 0-9 and hyphens between them, not %.40q", MaxRegion, text)
}

// Errors of CheckFresh.
var (
	// ErrExpired: the statement is no longer valid.
	ErrExpired = errors.New("statement expired")
	// ErrFuture: the statement was issued more than MaxClockSkew after now: one of two clocks is wrong.
	ErrFuture = errors.New("statement is from the future")
)

// CheckFresh says whether a statement with these times, in Unix ms, holds now. ErrExpired, ErrFuture.
func CheckFresh(now time.Time, issuedMS, expiresMS int64) error {
	ms := now.UnixMilli()
	if expiresMS <= ms {
		return fmt.Errorf("%w %s ago", ErrExpired, time.Duration(ms-expiresMS)*time.Millisecond)
	}
	if issuedMS > ms+MaxClockSkew.Milliseconds() {
		return fmt.Errorf("%w: issued %s ahead", ErrFuture, time.Duration(issuedMS-ms)*time.Millisecond)
	}
	return nil
}
