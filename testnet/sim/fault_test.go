package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/keeper"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// The faults of a card, how they come and go, and whether they end a lease.
var faults = []struct {
	name        string
	make, mend  func(src *gputest.Faulty, uuid string)
	leaseGoesOn bool
}{
	{name: "hang", make: fails(gpu.FaultHang), mend: works},
	{name: "crash", make: fails(gpu.FaultCrash), mend: works, leaseGoesOn: true}, // of the reader: the card itself works
	{name: "vanish", make: fails(gpu.FaultLost), mend: works},
	{name: "old-driver", make: fails(gpu.FaultDriver), mend: works},
	{name: "xid", make: fails(gpu.FaultXid), mend: works},
	{name: "over-temperature", make: func(s *gputest.Faulty, u string) { s.Heat(u, 99) }, mend: func(s *gputest.Faulty, u string) { s.Heat(u, 0) }},
	{name: "foreign-process", make: func(s *gputest.Faulty, u string) {
		s.Use(u, gpu.Process{PID: 4711, Name: "game", Kind: gpu.ProcessGraphics})
	}, mend: func(s *gputest.Faulty, u string) { s.Use(u) }},
}

func fails(f gpu.Fault) func(*gputest.Faulty, string) {
	return func(s *gputest.Faulty, uuid string) { s.Fail(uuid, f) }
}

func works(s *gputest.Faulty, uuid string) { s.Fail(uuid, gpu.FaultNone) }

// In each state a worker can be in, every fault is noticed and keeps the card from
// being lent, ends a lease that it spoils, and is over when it is over.
func TestFaultMatrix(t *testing.T) {
	for _, state := range []string{"idle", "bidding", "leased"} {
		for _, f := range faults {
			t.Run(f.name+"/"+state, func(t *testing.T) {
				p2ptest.Bubble(t, func(t *testing.T) {
					s := newFaultScene(t)
					s.enter(state)
					before := time.Now()
					f.make(s.src, s.uuid)
					detected := s.until("the card is not lent any more", func() bool { return s.keeper().Books.Lending(s.uuid).Withheld }, before)
					if detected > 6*time.Second {
						t.Errorf("noticed after %s", detected)
					}
					s.askedWhileBroken(state)
					drained := detected
					if state == "leased" {
						drained = s.drained(before, f.leaseGoesOn)
					}
					if drained > 10*time.Second {
						t.Errorf("drained after %s; want 10 s at most", drained)
					}
					f.mend(s.src, s.uuid)
					s.until("the card is lent again", func() bool { return len(s.keeper().Books.Lent()) == 1 }, before)
					restored := s.restored(state == "leased" && f.leaseGoesOn)
					fmt.Printf("fault %s state=%s detected=%d drained=%d restored=%s\n",
						f.name, state, detected.Milliseconds(), drained.Milliseconds(), map[bool]string{true: "yes", false: "no"}[restored])
					if !restored {
						t.Error("not as it was before")
					}
				})
			})
		}
	}
}

// faultScene is a requester and a worker with one card that can fail.
type faultScene struct {
	t    *testing.T
	m    []*Machine
	src  *gputest.Faulty
	uuid string
	job  string // leased
	bid  *offered
}

// offered is a bid, and what was asked.
type offered struct {
	signed *marketv1.Signed
	spec   *marketv1.Spec
}

func newFaultScene(t *testing.T) *faultScene {
	machine, src := faulty()
	m := Network(t, Setting{}, Setting{Machine: machine, Price: price, Owner: func(c *config.Config) {
		c.IdleOnly, c.YieldAfter, c.IdleAfter, c.Notice = true, 3*time.Second, 10*time.Second, 2*time.Second
		c.Every.Temperature = 85
	}})
	settle()
	return &faultScene{t: t, m: m, src: src, uuid: machine.Devices[0].UUID}
}

// enter brings the worker into a state.
func (s *faultScene) enter(state string) {
	s.t.Helper()
	switch state {
	case "bidding":
		answer, spec := s.ask()
		if answer.GetBid() == nil {
			s.t.Fatalf("no bid of a healthy card: %v", answer)
		}
		s.bid = &offered{answer.GetBid(), spec}
	case "leased":
		s.job = submit(s.t, s.m[0], submission(s.t, s.m[0], "on-term 9", "sleep 1h"), 10*time.Second)
		if s.m[1].Worker().Live() != 1 {
			s.t.Fatal("no lease")
		}
	}
}

func (s *faultScene) keeper() *keeper.Keeper { return s.m[1].Keeper() }

// announcement is how the key's owner looks for a worker of a job.
func announcement(key ed25519.PrivateKey, spec *marketv1.Spec) *marketv1.Announcement {
	now := time.Now()
	return &marketv1.Announcement{
		Version: 1, Network: p2ptest.Network, Requester: sessiontest.Public(key), JobId: make([]byte, len(job.ID{})),
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(time.Minute).UnixMilli(), Gpu: spec.Gpu, Resources: spec.Resources,
		ImageDigest: spec.Image.Digest, Platform: spec.Image.Platform, MaxPrice: price, MaxDurationMs: time.Hour.Milliseconds(),
	}
}

// ask brings the worker an announcement.
func (s *faultScene) ask() (*marketv1.Answer, *marketv1.Spec) {
	s.t.Helper()
	spec := submission(s.t, s.m[0], "exit 0").Spec
	signed, err := statement.Sign(s.m[0].key, statement.TypeAnnouncement, announcement(s.m[0].key, spec))
	if err != nil {
		s.t.Fatal(err)
	}
	ann, err := statement.OpenAnnouncement(signed)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.m[1].Worker().Ask(ann)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer, spec
}

// award takes up the bid that was made before the card failed.
func (s *faultScene) award() *leasev1.AwardResponse {
	s.t.Helper()
	bid, err := statement.OpenBid(s.bid.signed)
	if err != nil {
		s.t.Fatal(err)
	}
	spec, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.bid.spec)
	if err != nil {
		s.t.Fatal(err)
	}
	digest, b := sha256.Sum256(spec), bid.Message()
	terms := sessiontest.Terms(s.m[1].key, s.m[0].key, time.Now())
	terms.Network, terms.WorkerNonce, terms.Price, terms.GpuTags = p2ptest.Network, b.Nonce, b.Price, [][]byte{b.Devices[0].Tag}
	terms.SpecDigest, terms.ImageDigest, terms.Platform = digest[:], s.bid.spec.Image.Digest, s.bid.spec.Image.Platform
	signed, err := statement.Sign(s.m[0].key, statement.TypeTerms, terms)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.m[1].Worker().Award(sessiontest.Peer(s.t, s.m[0].key), &leasev1.AwardRequest{Terms: signed, Spec: spec, Bid: s.bid.signed})
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// until waits for something, and says how long after a moment it came.
func (s *faultScene) until(what string, is func() bool, since time.Time) time.Duration {
	s.t.Helper()
	for range 10 * 60 * 20 {
		synctest.Wait()
		if is() {
			return time.Since(since)
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("waited in vain until %s", what)
	return 0
}

// askedWhileBroken wants a truthful answer from a worker whose card is no use.
func (s *faultScene) askedWhileBroken(state string) {
	s.t.Helper()
	answer, _ := s.ask()
	if reason := answer.GetDecline().GetReason(); reason != marketv1.DeclineReason_DECLINE_REASON_POLICY {
		s.t.Errorf("asked while the card is broken: %v", answer)
	}
	if state != "bidding" {
		return
	}
	if reason := s.award().GetRefused().GetReason(); reason != marketv1.DeclineReason_DECLINE_REASON_POLICY {
		s.t.Errorf("an award of a broken card is refused with %s", reason)
	}
}

// drained waits for the lease to end, unless it has no reason to.
func (s *faultScene) drained(since time.Time, goesOn bool) time.Duration {
	s.t.Helper()
	worker := s.m[1].Worker()
	if goesOn {
		took := time.Since(since)
		time.Sleep(20 * time.Second)
		if worker.Live() != 1 {
			s.t.Error("the lease ended although its card works")
		}
		return took
	}
	took := s.until("the lease has ended", func() bool { return worker.Live() == 0 }, since)
	end := ended(s.t, follow(s.t, s.m[0], s.job))
	if end.Outcome != leasev1.Outcome_OUTCOME_FAILED || end.Exit.GetCode() != 9 {
		s.t.Errorf("the job ended %v; want its own exit, and the owner named", end)
	}
	return took
}

// restored says whether the worker serves as before, and the card is as it was.
func (s *faultScene) restored(leased bool) bool {
	s.t.Helper()
	if leased {
		if err := s.m[0].Requester().Stop(s.t.Context(), s.job, time.Second, false); err != nil {
			s.t.Fatal(err)
		}
		follow(s.t, s.m[0], s.job)
	}
	s.until("the card has its watts back", func() bool { return s.src.Limit(s.uuid) == 450_000 }, time.Now())
	_, events := finish(s.t, s.m[0], submission(s.t, s.m[0], "exit 5"))
	return ended(s.t, events).Exit.GetCode() == 5
}
