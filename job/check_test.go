package job

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/gpu"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// fields lists the fields that an error names, each once, in order.
func fields(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("%v is not ErrInvalid", err)
	}
	var out []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var p Problem
		if !errors.As(e, &p) || p.Want == "" || !strings.HasPrefix(p.Error(), p.Field+": want ") {
			t.Errorf("%q does not name a field and what is allowed", e)
		}
		if !slices.Contains(out, p.Field) {
			out = append(out, p.Field)
		}
	}
	return out
}

// change is one way to spoil a message, and the fields that are wrong then.
type change[M proto.Message] struct {
	name   string
	spoil  func(M)
	fields []string
}

func testChanges[M proto.Message](t *testing.T, valid func() M, check func(M) error, changes []change[M]) {
	t.Helper()
	if err := check(valid()); err != nil {
		t.Fatalf("the valid one is refused: %v", err)
	}
	var none M
	if check(none) == nil {
		t.Error("a nil message is taken")
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			m := valid()
			c.spoil(m)
			if diff := cmp.Diff(c.fields, fields(t, check(m))); diff != "" {
				t.Errorf("wrong fields (-want +got):\n%s", diff)
			}
		})
	}
}

var digest = "sha256:" + strings.Repeat("0a", 32)

func bytesOf(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

func validSpec() *marketv1.Spec {
	return &marketv1.Spec{
		Version: 1,
		Image: &marketv1.Image{
			Digest: digest, MediaType: "application/vnd.oci.image.index.v1+json", SizeBytes: 1200,
			Platform: "linux/amd64", TotalBytes: 5 << 30, Name: "pytorch/pytorch:2.8",
		},
		Command: []string{"python", "train.py", ""},
		Env:     []string{"EPOCHS=3", "EMPTY=", "_X.y-z=a=b\nc"},
		Workdir: "/workspace",
		User:    "1000:users",
		Gpu:     &marketv1.Requirement{Count: 1, VramBytes: 24 * gpu.GiB, Models: []string{"rtx-4090", "l40s"}},
		Resources: &marketv1.Resources{
			CpuMillis: 4000, MemoryBytes: 16 << 30, DiskBytes: 50 << 30, Pids: 4096,
		},
		Inputs:    []*marketv1.Input{{Manifest: digest, Path: "/data", ReadOnly: true}, {Manifest: digest, Path: "/data2"}},
		Outputs:   []string{"/out", "/out put/ü"},
		TimeoutMs: 3_600_000,
		Name:      "train",
	}
}

func TestCheckSpecNamesTheField(t *testing.T) {
	type spec = *marketv1.Spec
	testChanges(t, validSpec, CheckSpec, []change[spec]{
		{"nothing optional", func(s spec) {
			*s = marketv1.Spec{Version: 1, Image: &marketv1.Image{Digest: digest, Platform: "linux/arm/v7"}, Gpu: &marketv1.Requirement{Count: 1}}
		}, nil},
		{"version", func(s spec) { s.Version = 2 }, []string{"version"}},
		{"a field more", func(s spec) { s.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01}) }, []string{"fields"}},
		{"a field more inside", func(s spec) {
			s.Egress = &marketv1.Egress{}
			s.Egress.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01})
		}, []string{"fields"}},
		{"no image", func(s spec) { s.Image = nil }, []string{"image"}},
		{"short digest", func(s spec) { s.Image.Digest = digest[:70] }, []string{"image.digest"}},
		{"upper-case digest", func(s spec) { s.Image.Digest = strings.ToUpper(digest) }, []string{"image.digest"}},
		{"digest with a line after it", func(s spec) { s.Image.Digest += "\n" }, []string{"image.digest"}},
		{"another algorithm", func(s spec) { s.Image.Digest = "sha512:" + strings.Repeat("0a", 64) }, []string{"image.digest"}},
		{"platform", func(s spec) { s.Image.Platform = "linux" }, []string{"image.platform"}},
		{"huge index", func(s spec) { s.Image.SizeBytes = MaxImageIndex + 1 }, []string{"image.size_bytes"}},
		{"huge image", func(s spec) { s.Image.TotalBytes = math.MaxUint64 }, []string{"image.total_bytes"}},
		{"name that moves the cursor", func(s spec) { s.Image.Name = "\x1b[2J" }, []string{"image.name"}},
		{"long name", func(s spec) { s.Name = strings.Repeat("n", MaxNameBytes+1) }, []string{"name"}},
		{"NUL in the command", func(s spec) { s.Command = []string{"sh\x00"} }, []string{"command"}},
		{"no program", func(s spec) { s.Entrypoint = []string{"", "x"} }, []string{"entrypoint"}},
		{"many words", func(s spec) { s.Command = slices.Repeat([]string{"w"}, MaxArgs+1) }, []string{"command"}},
		{"long words", func(s spec) { s.Command = []string{strings.Repeat("w", MaxArgsBytes+1)} }, []string{"command"}},
		{"variable without a value", func(s spec) { s.Env = []string{"OK=1", "NAME"} }, []string{"env[1].name"}},
		{"variable without a name", func(s spec) { s.Env = []string{"=x"} }, []string{"env[0].name"}},
		{"variable with a space", func(s spec) { s.Env = []string{"A B=x"} }, []string{"env[0].name"}},
		{"variable twice", func(s spec) { s.Env = []string{"A=1", "A=2"} }, []string{"env[1].name"}},
		{"NUL in a variable", func(s spec) { s.Env = []string{"A=\x00"} }, []string{"env[0].value"}},
		{"large environment", func(s spec) { s.Env = []string{"A=" + strings.Repeat("x", MaxEnvBytes)} }, []string{"env"}},
		{"relative workdir", func(s spec) { s.Workdir = "src" }, []string{"workdir"}},
		{"workdir at the root", func(s spec) { s.Workdir = "/" }, nil},
		{"user", func(s spec) { s.User = "a b" }, []string{"user"}},
		{"user with two groups", func(s spec) { s.User = "a:b:c" }, []string{"user"}},
		{"no requirement", func(s spec) { s.Gpu = nil }, []string{"gpu"}},
		{"no devices", func(s spec) { s.Gpu.Count = 0 }, []string{"gpu.count"}},
		{"many devices", func(s spec) { s.Gpu.Count = 65 }, []string{"gpu.count"}},
		{"everything of its devices", func(s spec) {
			s.Gpu.Capability, s.Gpu.Driver, s.Gpu.Cuda, s.Gpu.Mig = "8.9", "580.95.05", "13.0", "1g.10gb+me"
		}, nil},
		{"versions that are none", func(s spec) { s.Gpu.Capability, s.Gpu.Driver, s.Gpu.Cuda = "sm_89", "580.", strings.Repeat("1", 25) },
			[]string{"gpu.capability", "gpu.driver", "gpu.cuda"}},
		{"MIG profile", func(s spec) { s.Gpu.Mig = "half" }, []string{"gpu.mig"}},
		{"model", func(s spec) { s.Gpu.Models = []string{"RTX 4090"} }, []string{"gpu.models"}},
		{"VRAM", func(s spec) { s.Gpu.VramBytes = MaxVRAM + 1 }, []string{"gpu.vram_bytes"}},
		{"no resources", func(s spec) { s.Resources = nil }, nil},
		{"CPU", func(s spec) { s.Resources.CpuMillis = math.MaxUint64 }, []string{"resources.cpu_millis"}},
		{"pids", func(s spec) { s.Resources.Pids = math.MaxUint32 }, []string{"resources.pids"}},
		{"short timeout", func(s spec) { s.TimeoutMs = 999 }, []string{"timeout_ms"}},
		{"negative timeout", func(s spec) { s.TimeoutMs = -1 }, []string{"timeout_ms"}},
		{"long timeout", func(s spec) { s.TimeoutMs = math.MaxInt64 }, []string{"timeout_ms"}},
	})
}

func TestCheckSpecKeepsFoldersApart(t *testing.T) {
	type spec = *marketv1.Spec
	var changes []change[spec]
	for _, bad := range []string{
		"", "/", "data", "./data", "/data/", "/da//ta", "/da/../ta", "/..", "/da/./ta", "/proc", "/proc/self", "/sys/x", "/dev/shm", "/.rigmesh/x",
		"/a\nb", "/a\x00b", "/a\xff", "/a\u202eb", "/" + strings.Repeat("x", MaxPath),
	} {
		changes = append(changes,
			change[spec]{fmt.Sprintf("input %.20q", bad), func(s spec) { s.Inputs[1].Path = bad }, []string{"inputs[1].path"}},
			change[spec]{fmt.Sprintf("output %.20q", bad), func(s spec) { s.Outputs[0] = bad }, []string{"outputs[0].path"}})
	}
	changes = append(changes, []change[spec]{
		{"device-like names are ordinary", func(s spec) { s.Outputs = []string{"/devices", "/process"} }, nil},
		{"input twice", func(s spec) { s.Inputs[1].Path = "/data" }, []string{"inputs[1].path"}},
		{"input in an input", func(s spec) { s.Inputs[1].Path = "/data/more" }, []string{"inputs[1].path"}},
		{"output in an input", func(s spec) { s.Outputs[1] = "/data/out" }, []string{"outputs[1].path"}},
		{"output around an input", func(s spec) { s.Inputs[0].Path = "/out/in" }, []string{"outputs[0].path"}},
		{"output twice", func(s spec) { s.Outputs[1] = "/out" }, []string{"outputs[1].path"}},
		{"manifest", func(s spec) { s.Inputs[0].Manifest = "" }, []string{"inputs[0].manifest"}},
		{"many inputs", func(s spec) { s.Inputs = slices.Repeat(s.Inputs, MaxFolders) }, []string{"inputs"}},
		{"many outputs", func(s spec) { s.Outputs = slices.Repeat(s.Outputs, MaxFolders) }, []string{"outputs"}},
	}...)
	testChanges(t, validSpec, CheckSpec, changes)
}

func TestCheckSpecNamesEveryProblemAtOnce(t *testing.T) {
	s := validSpec()
	s.Version, s.Gpu.Count, s.Env, s.TimeoutMs = 0, 0, []string{"x"}, -5
	want := []string{"version", "env[0].name", "gpu.count", "timeout_ms"}
	if diff := cmp.Diff(want, fields(t, CheckSpec(s))); diff != "" {
		t.Error(diff)
	}
}

const issued = 1_750_000_000_000

func validDevices() []*marketv1.Device {
	return []*marketv1.Device{
		{Tag: bytesOf(32, 1), Model: "rtx-4090", VramBytes: 24564 * gpu.MiB, Price: 350_000},
		{Tag: bytesOf(32, 2), Model: "rtx-3060", VramBytes: 12 * gpu.GiB, Price: 0},
	}
}

func validOffer() *marketv1.Offer {
	return &marketv1.Offer{
		Version: 1, Network: "main", Worker: bytesOf(32, 7), Sequence: 3,
		IssuedMs: issued, ExpiresMs: issued + 300_000,
		Devices:       validDevices(),
		Machine:       &marketv1.Machine{Cpus: 16, MemoryBytes: 64 << 30, DiskBytes: 1 << 40, Platform: "linux/amd64"},
		PeerRecord:    bytesOf(500, 0),
		FreeDevices:   2,
		MaxDurationMs: 86_400_000,
	}
}

func TestCheckOfferNamesTheField(t *testing.T) {
	type offer = *marketv1.Offer
	testChanges(t, validOffer, CheckOffer, []change[offer]{
		{"version", func(o offer) { o.Version = 0 }, []string{"version"}},
		{"network", func(o offer) { o.Network = "Main Net" }, []string{"network"}},
		{"no network", func(o offer) { o.Network = "" }, []string{"network"}},
		{"key", func(o offer) { o.Worker = o.Worker[:31] }, []string{"worker"}},
		{"expired before issue", func(o offer) { o.ExpiresMs = issued }, []string{"expires_ms"}},
		{"lives long", func(o offer) { o.ExpiresMs = issued + MaxOfferLife.Milliseconds() + 1 }, []string{"expires_ms"}},
		{"lives for ever", func(o offer) { o.ExpiresMs = math.MaxInt64 }, []string{"expires_ms"}},
		{"never issued", func(o offer) { o.IssuedMs = 0 }, []string{"issued_ms"}},
		{"issued at the end of time", func(o offer) { o.IssuedMs, o.ExpiresMs = math.MaxInt64, math.MinInt64 }, []string{"expires_ms"}},
		{"no devices", func(o offer) { o.Devices, o.FreeDevices = nil, 0 }, []string{"devices"}},
		{"many devices", func(o offer) { o.Devices = slices.Repeat(o.Devices, 33) }, []string{"devices"}},
		{"nil device", func(o offer) { o.Devices[1] = nil }, []string{"devices[1].tag", "devices[1].model"}},
		{"device twice", func(o offer) { o.Devices[1].Tag = o.Devices[0].Tag }, []string{"devices[1].tag"}},
		{"price", func(o offer) { o.Devices[0].Price = MaxPrice + 1 }, []string{"devices[0].price"}},
		{"withheld until tomorrow", func(o offer) { o.Devices[0].Withheld, o.Devices[0].BackMs = true, 1 }, nil},
		{"back without being withheld", func(o offer) { o.Devices[0].BackMs = 1 }, []string{"devices[0].back_ms"}},
		{"versions of a device", func(o offer) { o.Devices[0].Driver, o.Devices[1].Mig = "new", "1" }, []string{"devices[0].driver", "devices[1].mig"}},
		{"simulated but silent", func(o offer) { o.Devices[0].Simulated = true }, []string{"simulated"}},
		{"simulated, marked", func(o offer) { o.Devices[0].Simulated, o.Simulated = true, true }, nil},
		{"marked, not simulated", func(o offer) { o.Simulated = true }, []string{"simulated"}},
		{"no machine", func(o offer) { o.Machine = nil }, []string{"machine"}},
		{"no CPU", func(o offer) { o.Machine.Cpus = 0 }, []string{"machine.cpus"}},
		{"machine's platform", func(o offer) { o.Machine.Platform = "amiga" }, []string{"machine.platform"}},
		{"peer record", func(o offer) { o.PeerRecord = bytesOf(MaxPeerRecord+1, 0) }, []string{"peer_record"}},
		{"more free than there are", func(o offer) { o.FreeDevices = 3 }, []string{"free_devices"}},
		{"duration", func(o offer) { o.MaxDurationMs = 1 }, []string{"max_duration_ms"}},
		{"no duration", func(o offer) { o.MaxDurationMs = 0 }, nil},
	})
}

func validAnnouncement() *marketv1.Announcement {
	return &marketv1.Announcement{
		Version: 1, Network: "main", Requester: bytesOf(32, 9), JobId: bytesOf(16, 5), Sequence: 1,
		IssuedMs: issued, ExpiresMs: issued + 60_000,
		Gpu: &marketv1.Requirement{Count: 2}, ImageDigest: digest, Platform: "linux/amd64",
		MaxPrice: 300_000, MaxDurationMs: 3_600_000,
	}
}

func TestCheckAnnouncementNamesTheField(t *testing.T) {
	type ann = *marketv1.Announcement
	testChanges(t, validAnnouncement, CheckAnnouncement, []change[ann]{
		{"version", func(a ann) { a.Version = 9 }, []string{"version"}},
		{"network", func(a ann) { a.Network = "a--b" }, []string{"network"}},
		{"key", func(a ann) { a.Requester = nil }, []string{"requester"}},
		{"job id", func(a ann) { a.JobId = bytesOf(32, 1) }, []string{"job_id"}},
		{"life", func(a ann) { a.ExpiresMs = issued - 1 }, []string{"expires_ms"}},
		{"requirement", func(a ann) { a.Gpu = nil }, []string{"gpu"}},
		{"resources", func(a ann) { a.Resources = &marketv1.Resources{DiskBytes: math.MaxUint64} }, []string{"resources.disk_bytes"}},
		{"image", func(a ann) { a.ImageDigest = "latest" }, []string{"image_digest"}},
		{"platform", func(a ann) { a.Platform = "Linux/AMD64" }, []string{"platform"}},
		{"layers", func(a ann) { a.ImageLayers = 129 }, []string{"image_layers"}},
		{"image name", func(a ann) { a.ImageName = "a\n" }, []string{"image_name"}},
		{"image blobs", func(a ann) { a.ImageBlobs = make([]uint32, MaxMarks+1) }, []string{"image_blobs"}},
		{"image size", func(a ann) { a.ImageBytes = math.MaxUint64 }, []string{"image_bytes"}},
		{"price", func(a ann) { a.MaxPrice = MaxPrice + 1 }, []string{"max_price"}},
		{"nothing to pay", func(a ann) { a.MaxPrice = 0 }, nil},
		{"no duration", func(a ann) { a.MaxDurationMs = 0 }, []string{"max_duration_ms"}},
		{"everlasting", func(a ann) { a.MaxDurationMs = MaxDuration.Milliseconds() + 1 }, []string{"max_duration_ms"}},
		{"peer record", func(a ann) { a.PeerRecord = bytesOf(1<<20, 0) }, []string{"peer_record"}},
	})
}

func validBid() *marketv1.Bid {
	return &marketv1.Bid{
		Version: 1, Network: "main", Worker: bytesOf(32, 7), AnnouncementHash: bytesOf(32, 8), Devices: validDevices(),
		Price: 350_000, Nonce: bytesOf(16, 4), IssuedMs: issued, ExpiresMs: issued + 30_000, StartMs: 1500,
		MaxAbsentGraceMs: 1_800_000,
	}
}

func TestCheckBidNamesTheField(t *testing.T) {
	type bid = *marketv1.Bid
	testChanges(t, validBid, CheckBid, []change[bid]{
		{"version", func(b bid) { b.Version = 2 }, []string{"version"}},
		{"network", func(b bid) { b.Network = strings.Repeat("n", 33) }, []string{"network"}},
		{"key", func(b bid) { b.Worker = bytesOf(33, 1) }, []string{"worker"}},
		{"hash", func(b bid) { b.AnnouncementHash = bytesOf(16, 1) }, []string{"announcement_hash"}},
		{"devices", func(b bid) { b.Devices = nil }, []string{"devices"}},
		{"price", func(b bid) { b.Price = math.MaxUint64 }, []string{"price"}},
		{"nonce", func(b bid) { b.Nonce = nil }, []string{"nonce"}},
		{"life", func(b bid) { b.ExpiresMs = issued + MaxBidLife.Milliseconds() + 1 }, []string{"expires_ms"}},
		{"starts before the award", func(b bid) { b.StartMs = -1 }, []string{"start_ms"}},
		{"more than all of the image", func(b bid) { b.ImagePercent = 101 }, []string{"image_percent"}},
		{"grace", func(b bid) { b.MaxAbsentGraceMs = math.MaxInt64 }, []string{"max_absent_grace_ms"}},
		{"peer record", func(b bid) { b.PeerRecord = bytesOf(MaxPeerRecord+1, 0) }, []string{"peer_record"}},
	})
}

func validTerms() *leasev1.Terms {
	return &leasev1.Terms{
		Version: 1, Network: "main", Worker: bytesOf(32, 7), Requester: bytesOf(32, 9),
		WorkerNonce: bytesOf(16, 4), RequesterNonce: bytesOf(16, 6), JobId: bytesOf(16, 5),
		GpuTags: [][]byte{bytesOf(32, 1), bytesOf(32, 2)}, Price: 350_000, MaxAmount: 700_000,
		IntervalMs: 60_000, GraceMs: 15_000, MaxUnpaid: 2, AbsentGraceMs: 1_800_000,
		StartByMs: issued + 600_000, MaxDurationMs: 3_600_000, SpecDigest: bytesOf(32, 3),
		ImageDigest: digest, Platform: "linux/amd64", CreatedMs: issued,
	}
}

func TestCheckTermsNamesTheField(t *testing.T) {
	type terms = *leasev1.Terms
	testChanges(t, validTerms, CheckTerms, []change[terms]{
		{"version", func(m terms) { m.Version = 0 }, []string{"version"}},
		{"network", func(m terms) { m.Network = "-" }, []string{"network"}},
		{"worker", func(m terms) { m.Worker = nil }, []string{"worker"}},
		{"requester", func(m terms) { m.Requester = nil }, []string{"requester"}},
		{"nonces", func(m terms) { m.WorkerNonce, m.RequesterNonce = nil, bytesOf(17, 0) }, []string{"worker_nonce", "requester_nonce"}},
		{"job id", func(m terms) { m.JobId = nil }, []string{"job_id"}},
		{"secretly self-dealt", func(m terms) { m.Requester = m.Worker }, []string{"self_dealt"}},
		{"openly self-dealt", func(m terms) { m.Requester, m.SelfDealt = m.Worker, true }, nil},
		{"wrongly self-dealt", func(m terms) { m.SelfDealt = true }, []string{"self_dealt"}},
		{"no devices", func(m terms) { m.GpuTags = nil }, []string{"gpu_tags"}},
		{"device twice", func(m terms) { m.GpuTags[1] = m.GpuTags[0] }, []string{"gpu_tags[1].bytes"}},
		{"short tag", func(m terms) { m.GpuTags[1] = nil }, []string{"gpu_tags[1].bytes"}},
		{"price", func(m terms) { m.Price = math.MaxUint64 }, []string{"price"}},
		{"interval", func(m terms) { m.IntervalMs, m.GraceMs = 99, 0 }, []string{"interval_ms"}},
		{"grace beyond the interval", func(m terms) { m.GraceMs = 60_001 }, []string{"grace_ms"}},
		{"negative grace", func(m terms) { m.GraceMs = -1 }, []string{"grace_ms"}},
		{"unpaid", func(m terms) { m.MaxUnpaid = 0 }, []string{"max_unpaid"}},
		{"absent grace", func(m terms) { m.AbsentGraceMs = 59_999 }, []string{"absent_grace_ms"}},
		{"duration", func(m terms) { m.MaxDurationMs = 0 }, []string{"max_duration_ms"}},
		{"created", func(m terms) { m.CreatedMs = 0 }, []string{"created_ms"}},
		{"start before creation", func(m terms) { m.StartByMs = issued }, []string{"start_by_ms"}},
		{"start far away", func(m terms) { m.StartByMs = math.MaxInt64 }, []string{"start_by_ms"}},
		{"unknown seal", func(m terms) { m.SealSuite = 2 }, []string{"seal_suite"}},
		{"seal", func(m terms) { m.SealSuite, m.SealModulus, m.SealT = 1, 1, 1<<18 }, nil},
		{"unknown modulus", func(m terms) { m.SealSuite, m.SealModulus, m.SealT = 1, 2, 1<<18 }, []string{"seal_modulus"}},
		{"easy seal", func(m terms) { m.SealSuite, m.SealModulus, m.SealT = 1, 1, 1023 }, []string{"seal_t"}},
		{"seal too hard for the interval", func(m terms) { m.SealSuite, m.SealModulus, m.SealT = 1, 1, 6_000_100 }, []string{"seal_t"}},
		{"squarings without a seal", func(m terms) { m.SealT = 1 << 18 }, []string{"seal_t"}},
		{"witness", func(m terms) { m.Witnesses, m.WitnessQuorum = [][]byte{bytesOf(32, 11)}, 1 }, nil},
		{"witness twice", func(m terms) { m.Witnesses = [][]byte{bytesOf(32, 11), bytesOf(32, 11)} }, []string{"witnesses[1].bytes"}},
		{"worker as witness", func(m terms) { m.Witnesses = [][]byte{m.Worker} }, []string{"witnesses"}},
		{"many witnesses", func(m terms) {
			for i := range byte(17) {
				m.Witnesses = append(m.Witnesses, bytesOf(32, 100+i))
			}
		}, []string{"witnesses"}},
		{"quorum", func(m terms) { m.WitnessQuorum = 1 }, []string{"witness_quorum"}},
		{"spec digest", func(m terms) { m.SpecDigest = nil }, []string{"spec_digest"}},
		{"image", func(m terms) { m.ImageDigest = "" }, []string{"image_digest"}},
		{"platform", func(m terms) { m.Platform = "" }, []string{"platform"}},
	})
}

func TestCheckFreshLooksAtBothEnds(t *testing.T) {
	now := time.UnixMilli(issued)
	skew := MaxClockSkew.Milliseconds()
	for _, c := range []struct {
		name            string
		issued, expires int64
		want            error
	}{
		{"fresh", issued - 1, issued + 1, nil},
		{"expires now", issued - 1, issued, ErrExpired},
		{"expired long ago", 1, 2, ErrExpired},
		{"issued a little ahead", issued + skew, issued + skew + 1, nil},
		{"issued far ahead", issued + skew + 1, issued + skew + 2, ErrFuture},
		{"the end of time", math.MaxInt64 - 1, math.MaxInt64, ErrFuture},
	} {
		if got := CheckFresh(now, c.issued, c.expires); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func validWithdrawal() *marketv1.Withdrawal {
	return &marketv1.Withdrawal{
		Version: 1, Network: "main", Requester: bytesOf(KeySize, 1), AnnouncementHash: bytesOf(HashSize, 2), Price: 350_000, IssuedMs: 1,
	}
}

func TestCheckWithdrawal(t *testing.T) {
	testChanges(t, validWithdrawal, CheckWithdrawal, []change[*marketv1.Withdrawal]{
		{"nothing won", func(w *marketv1.Withdrawal) { w.Price = 0 }, nil},
		{"everything", func(w *marketv1.Withdrawal) {
			*w = marketv1.Withdrawal{Network: "Main", Price: MaxPrice + 1}
		}, []string{"version", "network", "requester", "announcement_hash", "price", "issued_ms"}},
	})
}

func TestRegionsAreWordsFromTheLargeToTheSmall(t *testing.T) {
	for text, want := range map[string]bool{
		"eu": true, "eu-west": true, "us-east-1": true, "": false, "EU": false, "eu-": false, "-eu": false, "e u": false,
		strings.Repeat("a", MaxRegion): true, strings.Repeat("a", MaxRegion+1): false,
	} {
		if IsRegion(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}

func FuzzCheckSpec(f *testing.F) {
	b, err := proto.Marshal(validSpec())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s marketv1.Spec
		if proto.Unmarshal(b, &s) != nil || CheckSpec(&s) != nil {
			return
		}
		for _, out := range s.GetOutputs() {
			for _, in := range s.GetInputs() {
				if overlap(out, in.GetPath()) {
					t.Errorf("output %q and input %q overlap", out, in.GetPath())
				}
			}
		}
	})
}

func FuzzCheckStatements(f *testing.F) {
	for _, m := range []proto.Message{validOffer(), validAnnouncement(), validBid(), validTerms(), validWithdrawal()} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var (
			o marketv1.Offer
			a marketv1.Announcement
			d marketv1.Bid
			m leasev1.Terms
		)
		if proto.Unmarshal(b, &o) == nil {
			_ = CheckOffer(&o)
		}
		if proto.Unmarshal(b, &a) == nil {
			_ = CheckAnnouncement(&a)
		}
		if proto.Unmarshal(b, &d) == nil {
			_ = CheckBid(&d)
		}
		var x leasev1.ExecStart
		if proto.Unmarshal(b, &x) == nil && CheckExec(&x) == nil && (len(x.GetArgs()) == 0) != (x.GetProgram() == leasev1.ExecProgram_EXEC_PROGRAM_ATTACH) {
			t.Errorf("a valid request to run nothing, or something else than what runs: %v", &x)
		}
		var w marketv1.Withdrawal
		if proto.Unmarshal(b, &w) == nil && CheckWithdrawal(&w) == nil && len(w.GetAnnouncementHash()) != HashSize {
			t.Errorf("a valid withdrawal of no announcement: %v", &w)
		}
		if proto.Unmarshal(b, &m) == nil && CheckTerms(&m) == nil {
			if _, err := Amount(uint64(m.GetMaxDurationMs()), m.GetPrice(), len(m.GetGpuTags())); err != nil {
				t.Errorf("valid terms whose amount overflows: %v", err)
			}
		}
	})
}

// FuzzCheckExecFrame: a program never gets a signal or a terminal that there cannot be.
func FuzzCheckExecFrame(f *testing.F) {
	for _, m := range []*leasev1.ExecFrame{
		{Frame: &leasev1.ExecFrame_Stdin{Stdin: []byte("a")}}, {Frame: &leasev1.ExecFrame_Signal{Signal: 15}},
		{Frame: &leasev1.ExecFrame_Size{Size: &leasev1.WindowSize{Rows: 24, Columns: 80}}}, {Frame: &leasev1.ExecFrame_StdinEnd{}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m leasev1.ExecFrame
		if proto.Unmarshal(b, &m) != nil || CheckExecFrame(&m) != nil {
			return
		}
		if m.GetSignal() > 31 || m.GetSize().GetRows() > math.MaxUint16 || m.GetSize().GetColumns() > math.MaxUint16 || m.GetStart() != nil {
			t.Errorf("valid: %v", &m)
		}
	})
}
