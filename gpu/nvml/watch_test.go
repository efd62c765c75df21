//go:build linux

package nvml

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/nvml/nvmltest"
)

// diary keeps what a watch told, and wakes whoever waits for it.
type diary struct {
	mu      sync.Mutex
	news    chan struct{}
	faults  map[string]gpu.Change
	samples map[string]gpu.Sample
	counts  map[string]int
}

func newDiary() *diary {
	return &diary{news: make(chan struct{}, 1), faults: map[string]gpu.Change{}, samples: map[string]gpu.Sample{}, counts: map[string]int{}}
}

func (d *diary) Samples(all []gpu.Sample) {
	d.note(func() {
		for _, s := range all {
			d.samples[s.UUID] = s
			d.counts[s.UUID]++
		}
	})
}

func (d *diary) Changed(c gpu.Change) { d.note(func() { d.faults[c.UUID] = c }) }

func (d *diary) note(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// until blocks until what was told fulfils ok.
func (d *diary) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for {
		d.mu.Lock()
		yes := ok()
		d.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-d.news:
		case <-t.Context().Done():
			t.Fatalf("never %s", what)
		}
	}
}

// watched starts a watch of a rig and waits for a sample of every device.
func watched(t *testing.T, r *rig) ([]gpu.Device, *diary) {
	t.Helper()
	devices := r.inventory().Devices
	d := newDiary()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Watch(ctx, devices, d) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
	d.until(t, "a sample of every device", func() bool { return len(d.samples) == len(devices) })
	return devices, d
}

func (d *diary) count(uuid string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[uuid]
}

func (d *diary) fault(uuid string) gpu.Fault { return d.faults[uuid].Fault }

// only says that the device has the fault and no other has one.
func (d *diary) only(uuid string, fault gpu.Fault) bool {
	for other, c := range d.faults {
		if other != uuid && c.Fault != gpu.FaultNone {
			return false
		}
	}
	return d.fault(uuid) == fault
}

func (d *diary) every(devices []gpu.Device, ok func(uuid string) bool) bool {
	return !slices.ContainsFunc(devices, func(dev gpu.Device) bool { return !ok(dev.UUID) })
}

func TestSamplesAreReadEveryPeriod(t *testing.T) {
	r := dgxA100(t)
	r.fault(fmt.Sprintf("process 3 %d\nheat 5 91\nwithout nvmlDeviceGetTotalEccErrors\n", os.Getpid()))
	devices, d := watched(t, r)
	d.until(t, "ten samples of each", func() bool {
		return d.every(devices, func(uuid string) bool { return d.counts[uuid] >= 10 })
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.samples[devices[3].UUID]
	if s.Utilisation != 30 || s.Power != 60_000 || s.PowerLimit != 400_000 || s.Energy < 10*3_600_000 || s.ClockSM != 1410 ||
		s.Throttle != gpu.ThrottleIdle || s.Temperature != 33 || s.Lacks != gpu.ReadECC || s.At.IsZero() {
		t.Errorf("%+v", s)
	}
	if pids := s.Compute(); !slices.Equal(pids, []uint32{uint32(os.Getpid())}) || s.Processes[0].Name != "nvml.test" || s.Processes[0].Memory != gpu.GiB {
		t.Errorf("processes %+v", s.Processes)
	}
	if hot := d.samples[devices[5].UUID].Temperature; hot != 91 {
		t.Errorf("%d °C", hot)
	}
	for uuid, c := range d.faults {
		t.Errorf("%s has a fault: %v", uuid, c)
	}
}

func TestWhatHoldsACardMayBeLessThanWhatWasSet(t *testing.T) {
	r := dgxA100(t)
	r.fault("enforced 3 250\n")
	devices, d := watched(t, r)
	uuid := devices[3].UUID
	d.until(t, "the lower limit, and the setting", func() bool {
		return d.samples[uuid].PowerLimit == 250_000 && d.samples[uuid].PowerSetting == 400_000
	})
}

func TestADriverThatDoesNotSayWhatWasSetIsReadAllTheSame(t *testing.T) {
	r := dgxA100(t)
	r.fault("without nvmlDeviceGetPowerManagementLimit\n")
	devices, d := watched(t, r)
	uuid := devices[3].UUID
	d.until(t, "the limit alone", func() bool {
		return d.samples[uuid].PowerLimit == 400_000 && d.samples[uuid].PowerSetting == 0
	})
}

func TestACardThatHangsIsOutOfServiceAlone(t *testing.T) {
	r := dgxA100(t)
	devices, d := watched(t, r)
	r.fault("hang 2\n")
	d.until(t, "out of service", func() bool { return d.only(devices[2].UUID, gpu.FaultHang) })
	before := d.count(devices[3].UUID)
	d.until(t, "sampled beside it", func() bool { return d.counts[devices[3].UUID] > before+5 && d.only(devices[2].UUID, gpu.FaultHang) })
}

func TestACardThatFallsOffTheBusIsLostAndMayComeBack(t *testing.T) {
	r := dgxA100(t)
	devices, d := watched(t, r)
	r.fault("lost 7\n")
	d.until(t, "lost", func() bool { return d.only(devices[7].UUID, gpu.FaultLost) })
	r.fault("")
	d.until(t, "back", func() bool { return d.only(devices[7].UUID, gpu.FaultNone) })
}

func TestAFatalXidKeepsACardOutOfService(t *testing.T) {
	r := dgxA100(t)
	devices, d := watched(t, r)
	r.fault("xid 1 13\nxid 6 79\n")
	d.until(t, "out of service", func() bool { return d.only(devices[6].UUID, gpu.FaultXid) })
	before := d.count(devices[6].UUID)
	d.until(t, "counted", func() bool {
		return d.counts[devices[6].UUID] > before+5 && d.samples[devices[6].UUID].LastXid == 79 && d.samples[devices[1].UUID].LastXid == 13
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.faults[devices[6].UUID]; c.Fault != gpu.FaultXid || !strings.Contains(c.Text, "fell off the bus") {
		t.Errorf("%+v: samples alone bring back a card that must be reset", c)
	}
}

func TestAnXidOfACardIsOneOfItsSlices(t *testing.T) {
	r := dgxA100(t)
	r.fault("mig 1\n")
	devices, d := watched(t, r)
	r.fault("mig 1\nxid 1 95\n")
	d.until(t, "out of service", func() bool {
		return d.fault(devices[1].UUID) == gpu.FaultXid && d.fault(devices[2].UUID) == gpu.FaultXid && d.fault(devices[3].UUID) == gpu.FaultXid
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.samples[devices[2].UUID]; s.Lacks != gpu.ReadUtilisation|gpu.ReadPower|gpu.ReadEnergy {
		t.Errorf("a slice lacks %b", s.Lacks)
	}
}

func TestAHelperThatCrashesIsReplaced(t *testing.T) {
	r := dgxA100(t)
	devices, d := watched(t, r)
	r.fault("crash\n")
	d.until(t, "out of service", func() bool {
		return d.every(devices, func(uuid string) bool { return d.fault(uuid) == gpu.FaultCrash })
	})
	r.fault("")
	d.until(t, "back", func() bool {
		return d.every(devices, func(uuid string) bool { return d.fault(uuid) == gpu.FaultNone })
	})
}

func TestAHelperThatIsKilledIsReplaced(t *testing.T) {
	r := dgxA100(t)
	devices, d := watched(t, r)
	signalHelper(t, syscall.SIGKILL)
	d.until(t, "out of service and back", func() bool {
		return d.every(devices, func(uuid string) bool { return d.faults[uuid].UUID != "" && d.fault(uuid) == gpu.FaultNone })
	})
}

func TestAHelperThatIsStoppedIsReplaced(t *testing.T) {
	r := dgxA100(t)
	devices, d := watched(t, r)
	stopped := signalHelper(t, syscall.SIGSTOP)
	d.until(t, "out of service", func() bool {
		return d.every(devices, func(uuid string) bool { return d.fault(uuid) == gpu.FaultHang })
	})
	d.until(t, "back", func() bool {
		return d.every(devices, func(uuid string) bool { return d.fault(uuid) == gpu.FaultNone })
	})
	if slices.Contains(helpers(t), stopped) {
		t.Error("the stopped process is still there")
	}
}

// helpers are the processes that this one started from the helper's file.
func helpers(t *testing.T) []int {
	t.Helper()
	path := nvmltest.Helper(t)
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == path {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// signalHelper sends a signal to the one helper there is.
func signalHelper(t *testing.T, s syscall.Signal) int {
	t.Helper()
	pids := helpers(t)
	if len(pids) != 1 {
		t.Fatalf("%d helpers run: want the one of this watch", len(pids))
	}
	if err := syscall.Kill(pids[0], s); err != nil {
		t.Fatal(err)
	}
	return pids[0]
}
