package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.yaml.in/yaml/v3"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/owner"
)

// Watts is a power in milliwatts, written in watts: "250", "250W".
type Watts uint32

// Set reads a power.
func (w *Watts) Set(text string) error {
	number := strings.TrimSpace(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text)), "W"))
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || v > 10_000 || math.IsNaN(v) {
		return fmt.Errorf("power %q: want watts, such as 250", text)
	}
	*w = Watts(math.Round(v * 1000))
	return nil
}

func (w Watts) String() string { return strconv.FormatFloat(float64(w)/1000, 'f', -1, 64) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (w *Watts) UnmarshalYAML(n *yaml.Node) error { return scalar(n, w.Set) }

// Degrees is a temperature in °C, written "83" or "83C".
type Degrees int16

// Set reads a temperature.
func (d *Degrees) Set(text string) error {
	number := strings.TrimSpace(strings.TrimRight(strings.ToUpper(strings.TrimSpace(text)), "C°"))
	v, err := strconv.ParseInt(number, 10, 16)
	if err != nil || v != 0 && (v < 40 || v > 110) {
		return fmt.Errorf("temperature %q: want 40 to 110 °C, or 0 for no ceiling", text)
	}
	*d = Degrees(v)
	return nil
}

func (d Degrees) String() string { return strconv.Itoa(int(d)) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Degrees) UnmarshalYAML(n *yaml.Node) error { return scalar(n, d.Set) }

// lendFile is the part of config.yaml about when and how devices are lent.
type lendFile struct {
	Hours       []string  `yaml:"hours"`
	Quiet       []string  `yaml:"quiet"`
	IdleOnly    *bool     `yaml:"idle-only"`
	IdleAfter   *Duration `yaml:"idle-after"`
	YieldAfter  *Duration `yaml:"yield-after"`
	Notice      *Duration `yaml:"notice"`
	Watts       *Watts    `yaml:"watts"`
	Temperature *Degrees  `yaml:"temperature"`
	Reserve     *Bytes    `yaml:"reserve-vram"`
	Strict      *bool     `yaml:"reserve-strict"`
	Allow       []string  `yaml:"allow"`
	Deny        []string  `yaml:"deny"`
}

// deviceFile is what config.yaml says about one device, or one model.
type deviceFile struct {
	Device      string   `yaml:"device"`
	Lend        *bool    `yaml:"lend"`
	Price       *Price   `yaml:"price"`
	Watts       *Watts   `yaml:"watts"`
	Temperature *Degrees `yaml:"temperature"`
	Reserve     *Bytes   `yaml:"reserve-vram"`
}

// over sets what the file says about lending. It was decoded; what is wrong beyond that
// Validate finds.
func (f lendFile) over(c *Config) {
	if f.Hours != nil {
		c.Hours = f.Hours
	}
	if f.Quiet != nil {
		c.Quiet = f.Quiet
	}
	if f.Allow != nil {
		c.Allow = f.Allow
	}
	if f.Deny != nil {
		c.Deny = f.Deny
	}
	set(&c.IdleOnly, f.IdleOnly)
	set(&c.StrictReserve, f.Strict)
	set((*Duration)(&c.IdleAfter), f.IdleAfter)
	set((*Duration)(&c.YieldAfter), f.YieldAfter)
	set((*Duration)(&c.Notice), f.Notice)
	set((*Watts)(&c.Every.Power), f.Watts)
	set((*Degrees)(&c.Every.Temperature), f.Temperature)
	set((*Bytes)(&c.Every.Reserve), f.Reserve)
}

func (f deviceFile) rule() owner.DeviceRule {
	return owner.DeviceRule{
		Name: f.Device, Lend: f.Lend, Price: (*uint64)(f.Price), Power: (*uint32)(f.Watts),
		Temperature: (*int16)(f.Temperature), Reserve: (*uint64)(f.Reserve),
	}
}

// Lending is what the owner can decide about lending while the node runs.
type Lending struct {
	// Tariff is what electricity costs, in micro-credits per kWh; the price of a device is never below it.
	Tariff uint64
	// Hours are the times of a week at which devices are lent, Quiet those at which they are not.
	Hours, Quiet []string
	// IdleOnly lends only while nobody else uses the machine: IdleAfter after the last use, and
	// until somebody has used it for YieldAfter.
	IdleOnly              bool
	IdleAfter, YieldAfter time.Duration
	// StrictReserve ends a lease whose task holds memory that the owner keeps, for YieldAfter.
	StrictReserve bool
	// Notice is between the word that a lease has to go and its end.
	Notice time.Duration
	// Every bounds devices about which nothing else is said in Devices.
	Every   owner.Limits
	Devices []owner.DeviceRule
	// Allow are the only requesters that are served, unless empty; Deny are never. Peer ids.
	Allow, Deny []string
}

// Serves says whether the owner serves a requester, by its peer id.
func (l Lending) Serves(requester string) bool {
	return (len(l.Allow) == 0 || slices.Contains(l.Allow, requester)) && !slices.Contains(l.Deny, requester)
}

func defaultLending() Lending {
	return Lending{IdleAfter: 5 * time.Minute, YieldAfter: 10 * time.Second, Notice: 30 * time.Second, Every: owner.Limits{Temperature: 90}}
}

// Rules are the settings as the rules of package owner. They were validated.
func (c Config) Rules() (owner.Rules, error) {
	hours, err1 := owner.ParseSchedule(c.Hours)
	quiet, err2 := owner.ParseSchedule(c.Quiet)
	return owner.Rules{
		Floor: c.Price, Tariff: c.Tariff, Hours: hours, Quiet: quiet,
		IdleOnly: c.IdleOnly, IdleAfter: c.IdleAfter, YieldAfter: c.YieldAfter, StrictReserve: c.StrictReserve, Notice: c.Notice,
		Every: c.Every, Devices: c.Devices,
	}, errors.Join(err1, err2)
}

// validateLending names everything that is wrong about lending.
func (c Config) validateLending(wrong func(format string, args ...any)) {
	if _, err := c.Rules(); err != nil {
		wrong("lend: %w", err)
	}
	if c.Tariff > job.MaxPrice {
		wrong("price of electricity %s: at most %s", job.FormatPrice(c.Tariff), job.FormatPrice(job.MaxPrice))
	}
	for _, d := range []struct {
		name        string
		value, most time.Duration
	}{{"idle-after", c.IdleAfter, 24 * time.Hour}, {"yield-after", c.YieldAfter, time.Hour}, {"notice", c.Notice, job.MaxYieldNotice}} {
		if d.value < 0 || d.value > d.most {
			wrong("lend.%s %s: want at most %s", d.name, d.value, d.most)
		}
	}
	for _, id := range append(slices.Clone(c.Allow), c.Deny...) {
		if _, err := peer.Decode(id); err != nil {
			wrong("requester %q: want a peer id, as rigmesh ps --json shows it", id)
		}
	}
	for _, r := range c.Devices {
		if r.Name == "" {
			wrong("devices: want a device: its UUID, its number from 0 on, or a model")
		}
	}
}
