package session_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

var attacks = flag.Int("attacks", 4_000, "`number` of false frames sent to a live lease")

// relay stands between the two sides of a lease, keeps a copy of all that they say, and
// says what it likes to either.
type relay struct {
	t                 *testing.T
	worker, requester *side
	toWorker, toReq   *session.PipeEnd
	withhold          atomic.Bool // the next beat

	mu              sync.Mutex
	ofWorker, ofReq [][]byte // frames, in the order they came
	withheld        []byte   // a beat that never arrived
}

// connect joins the sides through the relay; again, when one of them has cut it off.
func (r *relay) connect() {
	w, toWorker := session.Pipe(sessiontest.Peer(r.t, workerKey), sessiontest.Peer(r.t, requesterKey))
	q, toReq := session.Pipe(sessiontest.Peer(r.t, requesterKey), sessiontest.Peer(r.t, workerKey))
	r.toWorker, r.toReq = toWorker, toReq
	if err := errors.Join(r.worker.Attach(r.t.Context(), w), r.requester.Attach(r.t.Context(), q)); err != nil {
		r.t.Fatal(err)
	}
	go r.pass(toWorker, toReq, &r.ofWorker)
	go r.pass(toReq, toWorker, &r.ofReq)
}

func (r *relay) pass(from, to *session.PipeEnd, copies *[][]byte) {
	for {
		var f leasev1.BeatFrame
		if err := from.Recv(&f); err != nil {
			to.Reset()
			return
		}
		b, _ := proto.Marshal(&f)
		if r.keep(copies, b, f.GetBeat() != nil && r.withhold.CompareAndSwap(true, false)) {
			continue
		}
		if err := to.Send(&f); err != nil {
			return
		}
	}
}

// keep keeps a copy of a frame, and says whether it is withheld.
func (r *relay) keep(copies *[][]byte, frame []byte, withhold bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	*copies = append(*copies, frame)
	if withhold {
		r.withheld = frame
	}
	return withhold
}

// heard is all that either side has said, and the beat that was withheld.
func (r *relay) heard() (ofWorker, ofReq [][]byte, withheld []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ofWorker, r.ofReq, r.withheld
}

// gone says whether somebody has cut the relay off.
func (r *relay) gone() bool {
	return r.toWorker.Context().Err() != nil || r.toReq.Context().Err() != nil
}

// stance is what an attack must not change.
type stance struct {
	beats, credit, amount uint64
	state                 lease.State
	records               int
}

func stanceOf(s *side) stance {
	l := s.Lease()
	return stance{l.Beats(), l.CreditMS(), l.Amount(), l.State(), len(s.journal.Records())}
}

func TestLiveLeaseAcceptsNothingFalse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		strangers := framesOfAnotherLease(t)
		worker, requester := pair(t)
		r := &relay{t: t, worker: worker, requester: requester}
		worker.run(t.Context())
		requester.run(t.Context())
		r.connect()
		synctest.Wait()
		worker.Post(t.Context(), lease.TaskRunning{})
		time.Sleep(10 * time.Second)
		r.withhold.Store(true)
		time.Sleep(10 * time.Second) // a beat is withheld, and is out of date by now
		if _, _, b := r.heard(); b == nil || worker.state().Ended() {
			t.Fatalf("the lease is %s", worker.state())
		}
		goroutines, heap := runtime.NumGoroutine(), heapInUse()
		quiet(r)
		before := [2]stance{stanceOf(worker), stanceOf(requester)}
		for sent := 0; sent < *attacks; {
			if r.gone() {
				r.reconnect()
				before = [2]stance{stanceOf(worker), stanceOf(requester)}
			}
			for range 50 {
				to, frame := r.falseFrame(random, strangers)
				if to.Send(frame) != nil {
					break
				}
				sent++
				synctest.Wait()
			}
			if after := [2]stance{stanceOf(worker), stanceOf(requester)}; after != before && !r.gone() {
				t.Fatalf("after %d false frames: %+v, not %+v", sent, after, before)
			}
		}
		if n := runtime.NumGoroutine(); n > goroutines+8 {
			t.Errorf("%d goroutines, and %d before", n, goroutines)
		}
		if now := heapInUse(); now > heap+16<<20 {
			t.Errorf("%d bytes of heap, and %d before", now, heap)
		}
		r.reconnect()
		time.Sleep(5 * time.Second)
		if worker.Lease().Beats() <= before[0].beats {
			t.Errorf("no beat after the attack: the lease is %s", worker.state())
		}
	})
}

// quiet waits for a moment at which nothing is due: a beat was just co-signed.
func quiet(r *relay) {
	for n := r.worker.Lease().Beats(); r.worker.Lease().Beats() == n; {
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
}

func (r *relay) reconnect() {
	r.toWorker.Reset()
	r.toReq.Reset()
	synctest.Wait()
	r.connect()
	synctest.Wait()
	quiet(r)
}

// falseFrame is one that nobody may believe: said before, signed by somebody else, of
// another lease, out of date, or changed in one bit.
func (r *relay) falseFrame(random *rand.Rand, strangers [][]byte) (*session.PipeEnd, *leasev1.BeatFrame) {
	ofWorker, ofReq, withheld := r.heard()
	to, heard := r.toReq, ofWorker
	if random.IntN(2) == 0 {
		to, heard = r.toWorker, ofReq
	}
	const recent = 4 // what was said just now may rightly be answered again
	b := heard[random.IntN(len(heard)-recent)]
	switch random.IntN(8) {
	case 0:
		b = strangers[random.IntN(len(strangers))]
	case 1:
		b, to = withheld, r.toReq
	case 2: // said by the other side
		b = ofReq[random.IntN(len(ofReq))]
		if to == r.toWorker {
			b = ofWorker[random.IntN(len(ofWorker))]
		}
	}
	f := &leasev1.BeatFrame{}
	if err := proto.Unmarshal(b, f); err != nil {
		r.t.Fatal(err)
	}
	if s := signedIn(f); s != nil && random.IntN(20) == 0 {
		forge(random, s)
	}
	return to, f
}

func signedIn(f *leasev1.BeatFrame) *marketv1.Signed {
	for _, s := range []*marketv1.Signed{f.GetChallenge(), f.GetBeat(), f.GetAck(), f.GetClose()} {
		if s != nil {
			return s
		}
	}
	return nil
}

// forge flips a bit, or signs with a key of its own.
func forge(random *rand.Rand, s *marketv1.Signed) {
	switch random.IntN(3) {
	case 0:
		s.Payload[random.IntN(len(s.Payload))] ^= 1 << random.IntN(8)
	case 1:
		s.Signature[random.IntN(len(s.Signature))] ^= 1 << random.IntN(8)
	default:
		s.Signature = statement.SignPayload(sessiontest.Key("forger"), statement.Type(s.Type), s.Payload).Signature
	}
}

// framesOfAnotherLease are genuine statements of the same two keys under other terms.
func framesOfAnotherLease(t *testing.T) [][]byte {
	terms := sessiontest.Terms(workerKey, requesterKey, time.Now())
	terms.Price++
	lw, lr := sessiontest.Lease(t, workerKey, requesterKey, terms, time.Now())
	r := &relay{t: t, worker: newSide(lw, 0), requester: newSide(lr, 0)}
	r.worker.run(t.Context())
	r.requester.run(t.Context())
	r.connect()
	time.Sleep(10 * time.Second)
	r.toWorker.Reset()
	r.toReq.Reset()
	synctest.Wait()
	ofWorker, ofReq, _ := r.heard()
	return slices.Concat(ofWorker, ofReq)
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// FuzzFrame feeds both sides of a lease that has begun what may come on its stream:
// nothing of that may panic or be believed.
func FuzzFrame(f *testing.F) {
	signed := &marketv1.Signed{Type: "beat", Payload: []byte{8, 1}, Signature: make([]byte, 64)}
	for _, frame := range []*leasev1.BeatFrame{
		{Frame: &leasev1.BeatFrame_Challenge{Challenge: signed}}, {Frame: &leasev1.BeatFrame_Beat{Beat: signed}},
		{Frame: &leasev1.BeatFrame_Ack{Ack: signed}}, {Frame: &leasev1.BeatFrame_Close{Close: signed}},
		{Frame: &leasev1.BeatFrame_Resync{Resync: &leasev1.Resync{Beat: signed, Ack: signed, Tree: [][]byte{{1}}}}},
		{Frame: &leasev1.BeatFrame_Seal{Seal: &leasev1.Seal{Y: []byte{1}}}}, {Frame: &leasev1.BeatFrame_Attest{Attest: signed}},
	} {
		b, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	now := time.UnixMilli(1_800_000_000_000)
	w, r := sessiontest.Lease(f, workerKey, requesterKey, sessiontest.Terms(workerKey, requesterKey, now), now)
	f.Fuzz(func(t *testing.T, b []byte) {
		var frame leasev1.BeatFrame
		if proto.Unmarshal(b, &frame) != nil {
			return
		}
		ev, err := decodeAll(&frame)
		if err != nil {
			return
		}
		for _, l := range []lease.Lease{w, r} {
			if next, _, err := l.Step(now, ev); err == nil && (next.Beats() != 0 || next.State() != lease.Waiting) {
				t.Errorf("%T is believed: %s", ev, next.State())
			}
		}
	})
}
