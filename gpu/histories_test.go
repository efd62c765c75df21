package gpu_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
)

var histories = flag.Int("histories", 2_000, "how many random histories of reservations to follow; make histories follows a million")

// A history is leases that come and go, are matched and lost, on devices that
// the owner withholds and lends again, with a restart now and then that knows
// only what a journal would. It ends when all leases have.
func TestNoHistoryEverLendsADeviceTwiceOrLosesOne(t *testing.T) {
	machines := [][]gpu.Device{gputest.TwoBoards(), gputest.MiningRig(), gputest.One4090(), gputest.Sliced()}
	steps, leases := 0, 0
	for n := range *histories {
		h := newHistory(t, machines[n%len(machines)], uint64(n))
		for range 40 {
			h.step()
		}
		h.finish()
		steps += 40
		leases += h.begun
	}
	t.Logf("%d histories, %d steps, %d leases: no device lent twice, none lost", *histories, steps, leases)
	if leases < *histories {
		t.Errorf("only %d leases began in %d histories", leases, *histories)
	}
}

type history struct {
	t       *testing.T
	seed    uint64
	random  *rand.Rand
	devices []gpu.Device
	books   *gpu.Reservations
	leases  map[string][]string // by holder: what a journal would know
	held    map[string]bool     // withheld
	begun   int
}

func newHistory(t *testing.T, devices []gpu.Device, seed uint64) *history {
	h := &history{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), devices: devices,
		leases: map[string][]string{}, held: map[string]bool{},
	}
	h.open()
	return h
}

func (h *history) open() {
	books, err := gpu.NewReservations(h.devices)
	if err != nil {
		h.t.Fatal(err)
	}
	h.books = books
}

func (h *history) step() {
	switch h.random.IntN(8) {
	case 0, 1, 2, 3:
		h.reserve()
	case 4, 5:
		h.release()
	case 6:
		h.withhold()
	case 7:
		h.restart()
	}
	h.check()
}

// reserve awards what a match proposed some steps of others ago, in the worst
// case: the proposal may be made of the devices that were free before.
func (h *history) reserve() {
	need := gpu.Requirement{Count: 1 + h.random.IntN(4), NVLink: h.random.IntN(4) == 0}
	if h.random.IntN(4) == 0 {
		need.MIG = "1g.10gb"
	}
	from := h.books.Free()
	if h.random.IntN(3) == 0 {
		from = h.devices // as a bid from before the last awards
	}
	lent, m := gpu.Match(from, need)
	if !m.OK() {
		return
	}
	h.begun++
	holder := fmt.Sprintf("lease %d", h.begun)
	var uuids []string
	free := true
	for _, d := range lent {
		uuids = append(uuids, d.UUID)
		free = free && h.holder(d.UUID) == "" && !h.held[d.UUID]
	}
	err := h.books.Reserve(holder, uuids)
	if (err == nil) != free {
		h.t.Fatalf("history %d: %s reserving %v gave %v", h.seed, holder, uuids, err)
	}
	if err == nil {
		h.leases[holder] = uuids
	}
}

func (h *history) holder(uuid string) string {
	for holder, uuids := range h.leases {
		if slices.Contains(uuids, uuid) {
			return holder
		}
	}
	return ""
}

func (h *history) any() string { return h.devices[h.random.IntN(len(h.devices))].UUID }

func (h *history) release() {
	if holder := h.holder(h.any()); holder != "" {
		h.books.Release(holder)
		delete(h.leases, holder)
	}
}

func (h *history) withhold() {
	uuid := h.any()
	h.held[uuid] = !h.held[uuid]
	if err := h.books.Lend(uuid, gpu.Lending{Withheld: h.held[uuid]}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) restart() {
	h.open()
	for uuid, held := range h.held {
		_ = h.books.Lend(uuid, gpu.Lending{Withheld: held})
	}
	for holder, uuids := range h.leases {
		if err := h.books.Retake(holder, uuids); err != nil {
			h.t.Fatalf("history %d: %s is not given %v back: %v", h.seed, holder, uuids, err)
		}
	}
}

func (h *history) check() {
	free := 0
	for _, d := range h.devices {
		holder := h.holder(d.UUID)
		if got := h.books.Holder(d.UUID); got != holder {
			h.t.Fatalf("history %d: %s is held by %q, not %q", h.seed, d.UUID, got, holder)
		}
		if holder == "" && !h.held[d.UUID] {
			free++
		}
	}
	if got := len(h.books.Free()); got != free {
		h.t.Fatalf("history %d: %d devices are free, not %d", h.seed, got, free)
	}
}

func (h *history) finish() {
	for holder := range h.leases {
		h.books.Release(holder)
		if left := h.books.Held(holder); len(left) != 0 {
			h.t.Fatalf("history %d: %s still holds %v", h.seed, holder, left)
		}
		delete(h.leases, holder)
	}
	h.check()
}
