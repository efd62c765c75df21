package nvml

import (
	"errors"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/nvml/nvmltest"
)

const firstCard = "GPU-00000000-0000-4000-8000-000000000000"

func TestPowerLimitsStayWithinTheCardsRange(t *testing.T) {
	r := dgxA100(t)
	for _, c := range []struct {
		uuid string
		mw   uint32
		says string
	}{
		{firstCard, 250_000, ""},
		{firstCard, 0, ""},
		{firstCard, 99_000, "power limit 99 W: this card takes 100 to 400 W"},
		{firstCard, 500_000, "power limit 500 W: this card takes 100 to 400 W"},
	} {
		err := r.SetPowerLimit(t.Context(), c.uuid, c.mw)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s to %d mW: %v, want %q", c.uuid, c.mw, err, c.says)
		}
	}
	if err := r.SetPowerLimit(t.Context(), "GPU-none", 250_000); !errors.Is(err, ErrNoDevice) {
		t.Errorf("got %v, want ErrNoDevice", err)
	}
	r.fault("without nvmlDeviceSetPowerManagementLimit\n")
	if err := r.SetPowerLimit(t.Context(), firstCard, 250_000); err == nil || !strings.Contains(err.Error(), "the driver cannot set power limits") {
		t.Errorf("without the function: %v", err)
	}
}

func TestAHelperThatEndsSaysItsLastWords(t *testing.T) {
	r := dgxA100(t)
	r.fault("crash\n")
	if err := r.SetPowerLimit(t.Context(), firstCard, 250_000); err == nil || !strings.Contains(err.Error(), "exit status 139") {
		t.Errorf("got %v", err)
	}
}

// cuda builds the stand-in for the CUDA driver library with faults of its own.
func (r *rig) cuda(faults ...string) {
	r.t.Helper()
	r.Client = r.with(append(faults, "RIGMESH_TEST_CUDA="+nvmltest.CUDA(r.t))...)
}

func TestScrubClearsAllThatIsFree(t *testing.T) {
	r := dgxA100(t)
	r.cuda("CUDA_FREE=3000")
	if err := r.Scrub(t.Context(), firstCard); err != nil {
		t.Error(err)
	}
}

func TestScrubNeverClaimsWhatItDidNotDo(t *testing.T) {
	r := dgxA100(t)
	for fault, want := range map[string]string{
		"CUDA_FAIL=init":   "start CUDA: CUDA error 999",
		"CUDA_FAIL=count":  "does not see the device alone",
		"CUDA_FAIL=retain": "make a context: CUDA error 999",
		"CUDA_FAIL=info":   "how much memory is free: CUDA error 999",
		"CUDA_FAIL=alloc":  "allocate memory: CUDA error 999",
		"CUDA_FAIL=set":    "clear memory: CUDA error 999",
		"CUDA_FAIL=sync":   "wait until memory is cleared: CUDA error 999",
		"CUDA_FAIL=back":   "read memory back: CUDA error 999",
		"CUDA_LIE=set":     "still holds something",
		"CUDA_LIE=tail":    "still holds something",
		"CUDA_HOARD=500":   "2.4 GiB of 2.9 GiB free", // half a gibibyte cannot be had
		"CUDA_HOARD=3000":  "0 MiB of 2.9 GiB free",
		"CUDA_CRASH=set":   "the helper ended",
	} {
		r.cuda("CUDA_FREE=3000", fault)
		if err := r.Scrub(t.Context(), firstCard); !errors.Is(err, ErrResidue) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v: want %q", fault, err, want)
		}
	}
	if err := r.with("RIGMESH_TEST_CUDA=/nonexistent/libcuda.so").Scrub(t.Context(), firstCard); !errors.Is(err, ErrResidue) || !strings.Contains(err.Error(), "load the CUDA driver library") {
		t.Errorf("without CUDA: %v", err)
	}
}

func TestXidsAreToldApart(t *testing.T) {
	for number, bad := range map[uint32]bool{13: false, 31: false, 43: false, 48: true, 63: false, 74: true, 79: true, 94: false, 95: true, 119: true} {
		if text, got := describeXid(number); got != bad || !strings.HasPrefix(text, "Xid ") {
			t.Errorf("Xid %d is %q, fatal: %t", number, text, got)
		}
	}
	if gpu.FaultXid.String() != "xid" {
		t.Error("the fault has another name")
	}
}
