// Package owner is the rules of whoever owns a machine: on what terms each of its
// devices is lent, when not, and what becomes of a lease that is in the way.
//
// A [Card] is a value. [Card.Step] takes what is seen of a device at a moment and
// gives the next value and a [Decision]; it reads no clock and does nothing. Package
// node performs the decisions.
package owner

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// Rules are what the owner decided. The zero Rules lend everything always.
type Rules struct {
	Floor  uint64   // micro-credits per GPU-hour
	Tariff uint64   // micro-credits per kWh of electricity; 0: it costs nothing
	Hours  Schedule // of a week at which devices are lent; empty: always
	Quiet  Schedule // of a week at which they are not; empty: never
	// IdleOnly lends only while nobody else uses the machine: no process of others
	// computes or draws on the device, and keyboard and mouse are at rest.
	IdleOnly   bool
	IdleAfter  time.Duration // how long that must have been so before the device is lent
	YieldAfter time.Duration // how long it must have been otherwise before a lease has to go
	// StrictReserve ends a lease whose task holds memory that the owner keeps, for YieldAfter.
	StrictReserve bool
	Notice        time.Duration // between telling the requester and telling the task to end
	Every         Limits        // for devices about which nothing else is said
	Devices       []DeviceRule  // see For
}

// Limits bound one device. What is zero is not bounded.
type Limits struct {
	Price       uint64 // micro-credits per GPU-hour
	Power       uint32 // milliwatts
	Temperature int16  // °C
	Reserve     uint64 // bytes of VRAM the owner keeps
}

// DeviceRule is what is said about single devices. What is nil is not said, and
// zero is what it is in Limits.
type DeviceRule struct {
	Name        string // a UUID or its beginning, a position from 0 on, or a model
	Lend        *bool  // false: never lent
	Price       *uint64
	Power       *uint32
	Temperature *int16
	Reserve     *uint64
}

// particular is how exactly a rule names a device: not at all, or so many things alike.
type particular uint8

const (
	notNamed particular = iota
	byModel
	byPosition
	byUUID
)

// names says how a rule is about the device at a position.
func (r DeviceRule) names(d gpu.Device, position int) particular {
	switch {
	case len(r.Name) >= 8 && strings.HasPrefix(strings.ToLower(d.UUID), strings.ToLower(r.Name)):
		return byUUID
	case r.Name == strconv.Itoa(position):
		return byPosition
	case r.Name == d.Model:
		return byModel
	}
	return notNamed
}

// Terms are what holds for one device.
type Terms struct {
	Disable bool
	Limits
}

// For settles what holds for the device at a position of its machine, value by value: the
// most particular word counts, of its UUID before its position before its model, and of
// two alike the first. The price is never below the floor, nor below what the
// electricity costs at the most the device may draw.
func (r Rules) For(d gpu.Device, position int) Terms {
	t := Terms{Limits: r.Every}
	for _, how := range []particular{byModel, byPosition, byUUID} {
		for _, rule := range slices.Backward(r.Devices) {
			if rule.names(d, position) == how {
				t = rule.over(t)
			}
		}
	}
	if d.Power.Most > 0 {
		t.Power = min(t.Power, d.Power.Most)
		if t.Power > 0 {
			t.Power = max(t.Power, d.Power.Least)
		}
	}
	t.Price = max(t.Price, r.Floor, Electricity(r.Tariff, cmp.Or(t.Power, d.Power.Now)))
	return t
}

// over is terms with what a rule says in their place.
func (r DeviceRule) over(t Terms) Terms {
	if r.Lend != nil {
		t.Disable = !*r.Lend
	}
	said(&t.Price, r.Price)
	said(&t.Power, r.Power)
	said(&t.Temperature, r.Temperature)
	said(&t.Reserve, r.Reserve)
	return t
}

func said[T any](to, what *T) {
	if what != nil {
		*to = *what
	}
}

// Electricity is what an hour at so many milliwatts costs, in micro-credits, when
// a kWh costs tariff; rounded up.
func Electricity(tariff uint64, milliwatts uint32) uint64 {
	const perKWh = 1_000_000 // mWh
	return (tariff*uint64(milliwatts) + perKWh - 1) / perKWh
}

// Action is what becomes of a device.
type Action uint8

// The actions, from the mildest on.
const (
	Lend     Action = iota // it is offered, and its lease goes on
	Withhold               // its lease goes on, and no new one is signed
	Pause                  // its task is frozen, unpaid
	Yield                  // its lease ends, after notice
	HandBack               // its lease ends now: the device is of no use to it, or in danger
)

var actionNames = [...]string{"lend", "withhold", "pause", "yield", "hand back"}

// String is the action in a word or two.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// Decision is what the rules say at one moment.
type Decision struct {
	Do     Action
	Code   string    // one word for scripts: "heat"; "" when it is lent
	Text   string    // one sentence for the owner: why
	Until  time.Time // when it is lent again; zero when not known
	Power  uint32    // the power limit that holds now, in milliwatts; 0: the card's own
	Notice time.Duration
	Terms
}

// Sight is what is seen of one device at a moment.
type Sight struct {
	Sample    gpu.Sample    // the newest; its At is zero while there is none
	Fault     gpu.Fault     // FaultNone while it works
	FaultText string        // what was read
	Leased    bool          // somebody holds it
	Foreign   []gpu.Process // that use it and are neither its task's nor the desktop's idle ones
	Held      uint64        // bytes of its memory that its task's processes hold; 0 when not known
	Input     time.Time     // when keyboard or mouse were last used; zero when not known
	Paused    bool          // by the owner's word
	Draining  bool          // likewise
}
