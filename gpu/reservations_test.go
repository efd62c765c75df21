package gpu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func devices(n int) []Device {
	out := make([]Device, n)
	for i := range out {
		out[i] = Device{UUID: fmt.Sprintf("GPU-%d", i), Model: "rtx-3060", VRAM: 12 * GiB}
	}
	return out
}

func uuids(ds []Device) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.UUID)
	}
	return out
}

func reservations(t testing.TB, n int) *Reservations {
	t.Helper()
	r, err := NewReservations(devices(n))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReserveGivesAllOrNothing(t *testing.T) {
	r := reservations(t, 3)
	if err := r.Reserve("a", []string{"GPU-1"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Reserve("b", []string{"GPU-0", "GPU-1"}); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v, want ErrTaken", err)
	}
	if err := r.Reserve("b", []string{"GPU-0", "GPU-9"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if err := r.Reserve("", []string{"GPU-0"}); err == nil {
		t.Error("a holder without a name was taken")
	}
	if diff := cmp.Diff([]string{"GPU-0", "GPU-2"}, uuids(r.Free())); diff != "" {
		t.Error(diff)
	}
	if got := r.Holder("GPU-1"); got != "a" {
		t.Errorf("GPU-1 is held by %q", got)
	}
}

func TestReserveAgainByTheSameHolderIsNoError(t *testing.T) {
	r := reservations(t, 2)
	for range 2 {
		if err := r.Reserve("a", []string{"GPU-0", "GPU-0"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Reserve("a", []string{"GPU-0", "GPU-1"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GPU-0", "GPU-1"}, uuids(r.Held("a"))); diff != "" {
		t.Error(diff)
	}
}

func TestReleaseTakesEverythingBackAndMayBeRepeated(t *testing.T) {
	r := reservations(t, 3)
	if err := r.Reserve("a", []string{"GPU-0", "GPU-2"}); err != nil {
		t.Fatal(err)
	}
	r.Release("nobody")
	r.Release("a")
	r.Release("a")
	if len(r.Free()) != 3 || len(r.Held("a")) != 0 || len(r.Held("")) != 0 {
		t.Errorf("free %v, held %v", uuids(r.Free()), uuids(r.Held("a")))
	}
}

func TestAWithheldDeviceStaysWithItsHolderAndGoesToNobodyElse(t *testing.T) {
	r := reservations(t, 2)
	withheld := Lending{Withheld: true}
	if err := errors.Join(r.Reserve("a", []string{"GPU-0"}), r.Lend("GPU-0", withheld), r.Lend("GPU-1", withheld)); err != nil {
		t.Fatal(err)
	}
	if r.Holder("GPU-0") != "a" || len(r.All()) != 2 || len(r.Lent()) != 0 || len(r.Free()) != 0 {
		t.Errorf("holder %q, all %v, lent %v, free %v", r.Holder("GPU-0"), r.All(), r.Lent(), r.Free())
	}
	if err := r.Reserve("a", []string{"GPU-0"}); err != nil {
		t.Errorf("what it holds already: %v", err)
	}
	r.Release("a")
	if err := r.Reserve("b", []string{"GPU-0"}); !errors.Is(err, ErrWithheld) {
		t.Errorf("got %v, want ErrWithheld", err)
	}
	if err := errors.Join(r.Retake("a", []string{"GPU-0"}), r.Lend("GPU-1", Lending{}), r.Reserve("b", []string{"GPU-1"})); err != nil {
		t.Error(err)
	}
	if err := r.Lend("GPU-9", withheld); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestDevicesNeedDistinctUUIDs(t *testing.T) {
	for _, bad := range [][]Device{{{UUID: ""}}, {{UUID: "x"}, {UUID: "x"}}} {
		if _, err := NewReservations(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestCallersCannotChangeTheBooks(t *testing.T) {
	ds := devices(2)
	r, err := NewReservations(ds)
	if err != nil {
		t.Fatal(err)
	}
	ds[0].UUID = "changed"
	r.All()[1].UUID = "changed"
	if diff := cmp.Diff([]string{"GPU-0", "GPU-1"}, uuids(r.All())); diff != "" {
		t.Error(diff)
	}
}

// A model of what a reservation is, in the plainest form, is followed through
// 100,000 random steps: nothing has two holders and nothing leaks.
func TestNoDeviceEverHasTwoHoldersOrLeaks(t *testing.T) {
	const n = 8
	r := reservations(t, n)
	random := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	holders := []string{"a", "b", "c", "d"}
	for step := range 100_000 {
		holder := holders[random.IntN(len(holders))]
		if random.IntN(3) == 0 {
			r.Release(holder)
			for uuid, by := range model {
				if by == holder {
					delete(model, uuid)
				}
			}
		} else {
			want := pick(random, n)
			free := !slices.ContainsFunc(want, func(u string) bool { return model[u] != "" && model[u] != holder })
			if err := r.Reserve(holder, want); (err == nil) != free {
				t.Fatalf("step %d: %s reserving %v gave %v with %v", step, holder, want, err, model)
			}
			if free {
				for _, u := range want {
					model[u] = holder
				}
			}
		}
		for _, d := range devices(n) {
			if r.Holder(d.UUID) != model[d.UUID] {
				t.Fatalf("step %d: %s is held by %q, not %q", step, d.UUID, r.Holder(d.UUID), model[d.UUID])
			}
		}
		if len(r.Free())+len(model) != n {
			t.Fatalf("step %d: %d free and %d held of %d", step, len(r.Free()), len(model), n)
		}
	}
}

func pick(random *rand.Rand, n int) []string {
	var out []string
	for range 1 + random.IntN(3) {
		out = append(out, fmt.Sprintf("GPU-%d", random.IntN(n)))
	}
	return out
}

func TestConcurrentHoldersNeverShare(t *testing.T) {
	r := reservations(t, 4)
	var inUse [4]sync.Mutex
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 3))
			holder := fmt.Sprintf("holder %d", g)
			for range 2000 {
				i := random.IntN(4)
				if r.Reserve(holder, []string{fmt.Sprintf("GPU-%d", i)}) != nil {
					continue
				}
				if !inUse[i].TryLock() {
					t.Errorf("GPU-%d has two holders", i)
					return
				}
				inUse[i].Unlock()
				r.Release(holder)
			}
		})
	}
	wg.Wait()
	if len(r.Free()) != 4 {
		t.Errorf("%d devices leaked", 4-len(r.Free()))
	}
}

func TestFreeAndHeldAreAlwaysAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := NewReservations(devices(6))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range rapid.SliceOf(rapid.IntRange(0, 1<<12)).Draw(t, "steps") {
			holder := string(rune('a' + step%3))
			if step%5 == 0 {
				r.Release(holder)
			}
			_ = r.Reserve(holder, []string{fmt.Sprintf("GPU-%d", step%7), fmt.Sprintf("GPU-%d", step/7%7)})
		}
		all := slices.Concat(r.Free(), r.Held("a"), r.Held("b"), r.Held("c"))
		slices.SortFunc(all, byWaste)
		if diff := cmp.Diff(r.All(), all); diff != "" {
			t.Fatal(diff)
		}
	})
}
