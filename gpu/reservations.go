package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Errors of Reservations that a caller decides on.
var (
	// ErrTaken: a device is held by somebody else.
	ErrTaken = errors.New("device is taken")
	// ErrUnknown: there is no device of that UUID.
	ErrUnknown = errors.New("no such device")
	// ErrWithheld: the owner does not lend the device now.
	ErrWithheld = errors.New("device is not lent now")
)

// Reservations says who holds which device of one machine. A device has one
// holder at most, and a holder gets all it asks for or nothing. It is in memory
// only: after a restart the journal says what to reserve again. Safe for concurrent use.
type Reservations struct {
	mu      sync.Mutex
	devices []Device
	index   map[string]int    // UUID → position in devices
	holder  map[string]string // UUID → who
	lending map[string]Lending
}

// Lending is on what terms the owner lends one device now. The zero Lending
// is the device as it is, at the worker's floor.
type Lending struct {
	Price    uint64    // micro-credits per GPU-hour; 0: the worker's floor
	Reserve  uint64    // bytes of VRAM that the owner keeps
	Withheld bool      // not lent anew; whoever holds it keeps it
	Back     time.Time // when a withheld device is lent again; zero when not known
}

// NewReservations keeps the books of the given devices. UUIDs must be distinct and not empty.
func NewReservations(devices []Device) (*Reservations, error) {
	r := &Reservations{
		devices: slices.Clone(devices),
		index:   make(map[string]int, len(devices)),
		holder:  make(map[string]string),
		lending: make(map[string]Lending),
	}
	for i, d := range devices {
		if _, double := r.index[d.UUID]; double || d.UUID == "" {
			return nil, fmt.Errorf("device %d has the UUID %q: want a distinct one", i, d.UUID)
		}
		r.index[d.UUID] = i
	}
	return r, nil
}

// Reserve gives every named device to holder, or none. Reserving again what
// the same holder has is no error. ErrTaken, ErrWithheld, ErrUnknown.
func (r *Reservations) Reserve(holder string, uuids []string) error {
	return r.take(holder, uuids, func(uuid string) error { return r.available(holder, uuid) })
}

func (r *Reservations) take(holder string, uuids []string, may func(uuid string) error) error {
	if holder == "" {
		return errors.New("reserve devices: the holder has no name")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, uuid := range uuids {
		if err := may(uuid); err != nil {
			return fmt.Errorf("reserve %s: %w", uuid, err)
		}
	}
	for _, uuid := range uuids {
		r.holder[uuid] = holder
	}
	return nil
}

func (r *Reservations) available(holder, uuid string) error {
	if _, ok := r.index[uuid]; !ok {
		return ErrUnknown
	}
	if by, taken := r.holder[uuid]; taken && by != holder {
		return ErrTaken
	}
	if r.holder[uuid] != holder && r.lending[uuid].Withheld {
		return ErrWithheld
	}
	return nil
}

// Retake gives devices back to whoever held them before a restart, whether or
// not they would be lent anew. ErrTaken, ErrUnknown.
func (r *Reservations) Retake(holder string, uuids []string) error {
	return r.take(holder, uuids, func(uuid string) error {
		if err := r.available(holder, uuid); !errors.Is(err, ErrWithheld) {
			return err
		}
		return nil
	})
}

// Lend sets on what terms a device is lent. ErrUnknown.
func (r *Reservations) Lend(uuid string, l Lending) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.index[uuid]; !ok {
		return fmt.Errorf("lend %s: %w", uuid, ErrUnknown)
	}
	r.lending[uuid] = l
	return nil
}

// Release takes back all that holder has. Releasing nothing is no error.
func (r *Reservations) Release(holder string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for uuid, by := range r.holder {
		if by == holder {
			delete(r.holder, uuid)
		}
	}
}

// Holder says who holds a device; "" when nobody does.
func (r *Reservations) Holder(uuid string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holder[uuid]
}

// Held lists the devices of one holder, in the machine's order.
func (r *Reservations) Held(holder string) []Device {
	return r.where(func(uuid string) bool { return holder != "" && r.holder[uuid] == holder })
}

// Free lists the devices that can be reserved now, in the machine's order.
func (r *Reservations) Free() []Device {
	return r.where(func(uuid string) bool { return r.holder[uuid] == "" && !r.lending[uuid].Withheld })
}

// Lent lists the devices that the owner lends now, held or free, in the machine's order.
func (r *Reservations) Lent() []Device {
	return r.where(func(uuid string) bool { return !r.lending[uuid].Withheld })
}

// Lending is on what terms a device is lent now.
func (r *Reservations) Lending(uuid string) Lending {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lending[uuid]
}

// Back is when the first of the withheld devices is lent again; zero when that is not known.
func (r *Reservations) Back() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first time.Time
	for _, l := range r.lending {
		if l.Withheld && !l.Back.IsZero() && (first.IsZero() || l.Back.Before(first)) {
			first = l.Back
		}
	}
	return first
}

// All lists the devices, held or free or withheld, in the machine's order, each at
// its price and with the memory that its owner lends.
func (r *Reservations) All() []Device {
	return r.where(func(string) bool { return true })
}

func (r *Reservations) where(keep func(uuid string) bool) []Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Device
	for _, d := range r.devices {
		if keep(d.UUID) {
			l := r.lending[d.UUID]
			d.VRAM -= min(d.VRAM, l.Reserve)
			d.Price = cmp.Or(l.Price, d.Price)
			out = append(out, d)
		}
	}
	return out
}
