package keeper

import (
	"context"
	"slices"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/owner"
)

// decide asks the rules about every device, and does what they say.
func (k *Keeper) decide(ctx context.Context) {
	var input time.Time
	if k.Input != nil {
		input = k.Input()
	}
	worst := map[string]owner.Decision{}
	for i, w := range k.wards {
		holder := k.Books.Holder(w.device.UUID)
		foreign, held := k.users(ctx, w, holder)
		k.mu.Lock()
		sight := k.sight(w, holder, foreign)
		sight.Input, sight.Held = input, held
		before := w.decision
		w.card, w.decision = w.card.Step(k.Wall(), k.rules, w.device, i, sight)
		if !w.settled || before.Do != w.decision.Do || before.Code != w.decision.Code {
			w.since = k.Now()
		}
		first := !w.settled
		w.settled, w.foreign = true, foreign
		d := w.decision
		k.mu.Unlock()
		if first || lending(before) != lending(d) {
			k.lend(w, d)
		}
		k.note(w, before, d, first)
		if was, ok := worst[holder]; holder != "" && (!ok || d.Do > was.Do) {
			worst[holder] = d
		}
	}
	k.treat(worst)
	k.settings.nudge()
}

// sight is what is seen of a device now. The caller holds mu.
func (k *Keeper) sight(w *ward, holder string, foreign []gpu.Process) owner.Sight {
	s := owner.Sight{
		Sample: w.ring.newest(), Fault: w.fault, FaultText: w.text, Leased: holder != "", Foreign: foreign,
		Paused: k.word.Paused, Draining: k.word.Draining,
	}
	if s.Fault == gpu.FaultNone {
		s.Fault, s.FaultText = owner.Silent(k.Now(), w.ring.last)
	}
	return s
}

// lending is the part of a decision that the books know.
func lending(d owner.Decision) gpu.Lending {
	return gpu.Lending{Price: d.Price, Reserve: d.Reserve, Withheld: d.Do != owner.Lend, Back: d.Until}
}

// lend tells the books on what terms a device is lent.
func (k *Keeper) lend(w *ward, d owner.Decision) {
	if err := k.Books.Lend(w.device.UUID, lending(d)); err != nil {
		k.Log.Error("lend device", "gpu", w.device.UUID, "err", err)
	}
}

// note says in the log what the owner would want to know.
func (k *Keeper) note(w *ward, before, d owner.Decision, first bool) {
	switch {
	case before.Do == d.Do && before.Code == d.Code && !first, first && d.Code == "":
	case d.Code == "":
		k.Log.Info("device is lent again", "gpu", w.device.UUID, "model", w.device.Model)
	default:
		k.Log.Info("device", "gpu", w.device.UUID, "model", w.device.Model, "do", d.Do, "why", d.Text)
	}
}

// treat does to leases what was decided about the worst of their devices, once.
func (k *Keeper) treat(leases map[string]owner.Decision) {
	if k.Leases == nil {
		return
	}
	for id := range k.told {
		if _, still := leases[id]; !still {
			delete(k.told, id)
		}
	}
	for id, d := range leases {
		do := max(d.Do, owner.Withhold) // to a lease these two are the same
		if last, treated := k.told[id]; treated && last == do {
			continue
		}
		if err := k.tell(id, do, d); err != nil {
			k.Log.Debug("treat lease", "lease", id, "do", do, "err", err)
			continue // it may only have begun: again at the next look
		}
		k.told[id] = do
	}
}

func (k *Keeper) tell(id string, do owner.Action, d owner.Decision) error {
	switch do {
	case owner.Yield:
		return k.Leases.Yield(id, d.Notice, d.Text)
	case owner.HandBack:
		return k.Leases.Yield(id, 0, d.Text)
	case owner.Pause:
		return k.Leases.Hold(id, true, d.Text)
	}
	return k.Leases.Hold(id, false, "")
}

// desktop are programs that draw on a device whenever somebody is logged in, and
// are no use of it that anybody would miss; our own that clears its memory likewise.
var desktop = []string{
	"Xorg", "Xwayland", "X", "gnome-shell", "gnome-software", "mutter", "kwin_x11", "kwin_wayland", "plasmashell", "sddm", "sddm-greeter",
	"gdm", "lightdm", "cinnamon", "xfwm4", "marco", "budgie-wm", "sway", "weston", "Hyprland", "picom", "compiz", "nvidia-persistenced", "nvidia-smi", "rigmesh-nvml",
}

// users are the processes on a device that are neither its lease's nor the desktop's,
// and how many bytes of its memory the lease's hold; 0 when nobody knows.
func (k *Keeper) users(ctx context.Context, w *ward, holder string) (foreign []gpu.Process, held uint64) {
	k.mu.Lock()
	all := w.ring.newest().Processes
	k.mu.Unlock()
	if w.holder != holder {
		w.holder, w.own = holder, gpu.Own{}
	}
	if holder != "" && len(all) > 0 {
		if k.Own == nil {
			return nil, 0
		}
		asked := k.Now()
		own, known := k.Own(ctx, holder)
		if !known {
			return nil, 0
		}
		w.own.Listed(asked, own)
	}
	for _, p := range all {
		switch {
		case w.own.Has(p.PID):
			held += p.Memory
		case !slices.Contains(desktop, p.Name):
			foreign = append(foreign, p)
		}
	}
	return foreign, held
}
