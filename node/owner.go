package node

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/node/keeper"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// owned is what the owner of this machine can say to its node, and see.
type owned struct{ n *Node }

// errOnlyRents: there are no devices to say anything about.
var errOnlyRents = fmt.Errorf("%w: this node only rents; rigmesh up is one that lends", control.ErrInvalid)

// Keeper keeps this node's devices; nil on a node that only rents.
func (n *Node) Keeper() *keeper.Keeper { return n.keeper }

// Say pauses, drains or resumes lending.
func (o owned) Say(word controlv1.Word) (leases int, err error) {
	if o.n.keeper == nil {
		return 0, errOnlyRents
	}
	switch word {
	case controlv1.Word_WORD_PAUSE:
		err = o.n.keeper.Pause()
	case controlv1.Word_WORD_DRAIN:
		err = o.n.keeper.Drain()
	case controlv1.Word_WORD_RESUME:
		err = o.n.keeper.Resume()
	default:
		err = fmt.Errorf("%w: no word %d", control.ErrInvalid, word)
	}
	o.n.worker.Drain(!o.n.keeper.Lends() || o.n.draining.Load())
	return o.n.worker.Live(), err
}

// Config gives the text of config.yaml.
func (o owned) Config() ([]byte, error) { return config.ReadFile(o.n.cfg.DataDir) }

// PutConfig replaces config.yaml, and applies what can be applied now.
func (o owned) PutConfig(text []byte) error {
	if err := config.Check(text); err != nil {
		return fmt.Errorf("%w: %w", control.ErrInvalid, err)
	}
	if o.n.parts.Reload == nil {
		return errors.New("this node's configuration cannot be changed while it runs")
	}
	before, err := o.Config()
	if err != nil {
		return err
	}
	path := config.FilePath(o.n.cfg.DataDir)
	if err := journal.WriteFile(path, text); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	cfg, err := o.n.parts.Reload()
	if err != nil { // with flags and environment over it, it is not valid: as before
		return errors.Join(fmt.Errorf("%w: %w", control.ErrInvalid, err), journal.WriteFile(path, before))
	}
	return o.n.apply(cfg)
}

// Settings are what this node goes by now.
func (o owned) Settings() [][2]string {
	return config.Settings(*cmp.Or(o.n.changed.Load(), &o.n.cfg))
}

// apply makes the owner's settings of cfg count from now on.
func (n *Node) apply(cfg config.Config) error {
	now := n.cfg
	now.Price, now.Lending = cfg.Price, cfg.Lending
	n.changed.Store(&now)
	if n.keeper == nil {
		return nil
	}
	rules, err := cfg.Rules()
	if err != nil {
		return err
	}
	n.keeper.SetRules(rules)
	n.worker.SetNotice(cfg.Notice)
	n.worker.SetServes(cfg.Serves)
	n.log.Info("settings of the owner changed")
	return nil
}

// Devices tells how every device stands.
func (o owned) Devices() (*controlv1.ListDevicesResponse, error) {
	if o.n.keeper == nil {
		return nil, errOnlyRents
	}
	leases := map[string]worker.View{}
	for _, v := range o.n.worker.Leases() {
		leases[v.ID.String()] = v
	}
	resp := &controlv1.ListDevicesResponse{ConnectedPeers: uint32(len(o.n.host.Peers())), Name: o.n.cfg.Name}
	for i, v := range o.n.keeper.Devices() {
		d := ownedDevice(i, v)
		if l, ok := leases[v.Holder]; ok {
			d.Lease = ownedLease(l)
		}
		resp.Devices = append(resp.Devices, d)
	}
	resp.Earned = o.n.standing.Earned()
	return resp, nil
}

func ownedDevice(number int, v keeper.View) *controlv1.OwnedDevice {
	d := &controlv1.OwnedDevice{
		Number: uint32(number), Uuid: v.Device.UUID, Model: v.Device.Model, Name: v.Device.Name, Simulated: v.Device.Simulated, Mig: v.Device.MIG.Profile,
		VramBytes: v.Device.VRAM - min(v.Device.VRAM, v.Decision.Reserve), Price: v.Decision.Price,
		Action: v.Decision.Do.String(), Code: v.Decision.Code, Text: v.Decision.Text, SinceMs: v.Since.UnixMilli(),
	}
	if !v.Decision.Until.IsZero() {
		d.UntilMs = v.Decision.Until.UnixMilli()
	}
	for _, p := range v.Foreign {
		d.Foreign = append(d.Foreign, fmt.Sprintf("%s (%d)", p.Name, p.PID))
	}
	return read(d, v.Sample)
}

// read adds what was read of a device.
func read(d *controlv1.OwnedDevice, s gpu.Sample) *controlv1.OwnedDevice {
	if s.At.IsZero() {
		return d
	}
	d.ReadMs, d.Utilisation, d.MemoryUsed, d.PowerMw, d.PowerLimitMw = s.At.UnixMilli(), uint32(s.Utilisation), s.MemoryUsed, s.Power, s.PowerLimit
	d.Temperature, d.ClockMhz, d.Throttle, d.EnergyMj, d.Lacks = int32(s.Temperature), s.ClockSM, s.Throttle.String(), s.Energy, uint32(s.Lacks)
	return d
}

func ownedLease(l worker.View) *controlv1.OwnedLease {
	return &controlv1.OwnedLease{
		Id: l.ID.String(), PeerId: l.Requester.String(), Name: l.Name, State: l.State.String(), Price: l.Price, Devices: uint32(l.Devices),
		CreditMs: l.CreditMS, Amount: l.Amount, EnergyMj: l.EnergyMJ, CreatedMs: l.Created.UnixMilli(),
	}
}

// deviceConditions are the lasting troubles of this machine's devices.
func (n *Node) deviceConditions() []*controlv1.Condition {
	if n.keeper == nil {
		return nil
	}
	var out []*controlv1.Condition
	for i, v := range n.keeper.Devices() {
		if v.Decision.Code == "" {
			continue
		}
		c := &controlv1.Condition{
			Code: "device-" + v.Decision.Code, Severity: "warning",
			Sentence: fmt.Sprintf("GPU %d (%s): %s", i, v.Device.Model, v.Decision.Text), Remedy: remedies[v.Decision.Code],
		}
		if v.Fault != gpu.FaultNone {
			c.Severity = "error"
		}
		if c.Remedy == "" {
			c.Remedy = "rigmesh top shows it; rigmesh doctor looks for the cause"
		}
		out = append(out, c)
	}
	return merged(out)
}

// remedies are what an owner can do about why a device is not lent.
var remedies = map[string]string{
	"paused":   "rigmesh resume lends again",
	"draining": "rigmesh resume lends again",
	"disabled": "rigmesh config set device.NUMBER.lend true lends it",
	"schedule": "rigmesh config get lend.hours, and lend.quiet, are when you lend",
	"in-use":   "it is lent again when nobody has used it for lend.idle-after",
	"foreign":  "rigmesh config set lend.idle-only true keeps tenants off while you use it",
	"reserve":  "rigmesh config set lend.reserve-strict true ends such a lease; NVIDIA's driver keeps no task from it",
	"heat":     "clean its fans, lower lend.watts, or raise lend.temperature",
	"hang":     "if it stays so: nvidia-smi, and the kernel's log, say more; a reboot brings the card back",
	"lost":     "dmesg says why it fell off the bus (NVRM: Xid 79): check its power cables and riser, then reboot",
	"xid":      "dmesg | grep Xid says which; reset the card with nvidia-smi --gpu-reset, or reboot",
	"driver":   "install a newer NVIDIA driver, and reboot if it was updated a moment ago",
}

// merged says once what is so of several devices.
func merged(all []*controlv1.Condition) []*controlv1.Condition {
	var out []*controlv1.Condition
	seen := map[string]*controlv1.Condition{}
	for _, c := range all {
		_, what, _ := strings.Cut(c.Sentence, ": ")
		first, again := seen[c.Code+what]
		if !again {
			seen[c.Code+what] = c
			out = append(out, c)
			continue
		}
		which, _, _ := strings.Cut(c.Sentence, ": ")
		names, _, _ := strings.Cut(first.Sentence, ": ")
		first.Sentence = names + ", " + strings.TrimPrefix(which, "GPU ") + ": " + what
	}
	return out
}
