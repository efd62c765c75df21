package gpu

import (
	"slices"
	"testing"
)

func TestVersionsCompareByNumber(t *testing.T) {
	ordered := []Version{"", "1", "8.6", "8.9", "8.10", "9.0", "12.4", "470.256.02", "535.54.03", "535.183.01", "580.95.05"}
	for i, v := range ordered {
		for j, w := range ordered {
			if got := v.Compare(w); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q against %q: %d", v, w, got)
			}
			if v.AtLeast(w) != (i >= j) {
				t.Errorf("%q at least %q: %t", v, w, v.AtLeast(w))
			}
		}
	}
	if Version("9").Compare("9.0") != 0 || Version("580.95.05").Compare("580.95.5-beta") != 0 {
		t.Error("missing parts are not 0, or a suffix counts")
	}
	for v, want := range map[Version]bool{"8.9": true, "12": true, "": false, "8.": false, "v8": false, "-1": false, "1.2.3.4.5.6.7": false} {
		if v.Valid() != want {
			t.Errorf("%q is valid: %t", v, v.Valid())
		}
	}
}

func FuzzVersionCompare(f *testing.F) {
	f.Add("535.183.01", "8.9")
	f.Fuzz(func(t *testing.T, a, b string) {
		v, w := Version(a), Version(b)
		if v.Compare(w) != -w.Compare(v) || v.Compare(v) != 0 {
			t.Errorf("%q against %q: %d and %d", v, w, v.Compare(w), w.Compare(v))
		}
	})
}

func TestSampleTellsZeroFromUnknown(t *testing.T) {
	s := Sample{Lacks: ReadEnergy | ReadECC, Processes: []Process{
		{PID: 9, Kind: ProcessCompute}, {PID: 4, Kind: ProcessGraphics}, {PID: 3, Kind: ProcessCompute}, {PID: 9, Kind: ProcessCompute},
	}}
	if s.Has(ReadEnergy) || s.Has(ReadPower|ReadECC) || !s.Has(ReadPower) {
		t.Errorf("lacks %b", s.Lacks)
	}
	if got := s.Compute(); !slices.Equal(got, []uint32{3, 9}) {
		t.Errorf("compute processes %v", got)
	}
	if got := (ThrottlePower | ThrottleBrake).String(); got != "power,power-brake" || Throttle(0).String() != "" {
		t.Errorf("throttle %q", got)
	}
}

func TestLendableLeavesOutFaultyAndCutCards(t *testing.T) {
	v := Inventory{Devices: []Device{
		{UUID: "GPU-a"}, {UUID: "GPU-b", Fault: FaultLost}, {UUID: "GPU-c", MIG: MIG{Enabled: true}},
		{UUID: "MIG-d", MIG: MIG{Parent: "GPU-c", Profile: "1g.10gb"}},
	}}
	var got []string
	for _, d := range v.Lendable() {
		got = append(got, d.UUID)
	}
	if !slices.Equal(got, []string{"GPU-a", "MIG-d"}) {
		t.Errorf("lendable %v", got)
	}
	if v.Devices[0].Slice() || !v.Devices[3].Slice() || FaultLost.String() != "lost" {
		t.Error("slices or faults are named wrong")
	}
}
