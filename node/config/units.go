package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"go.yaml.in/yaml/v3"
)

// The values that people write with a unit. Each reads from a flag (Set) and from YAML.
type (
	// Price is in micro-credits, written as credits: "0.35".
	Price uint64
	// Bytes is a size, written "24GiB", "500M" or "1024": K, M, G and T count in 1024s, as docker's do.
	Bytes uint64
	// Duration is written "90s", "1h30m" or "2d".
	Duration time.Duration
	// CPUs is in thousandths of a core, written in cores: "2", "0.5".
	CPUs uint64
)

// Set reads a price.
func (p *Price) Set(text string) error {
	micro, err := job.ParsePrice(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	*p = Price(micro)
	return nil
}

func (p Price) String() string { return job.FormatPrice(uint64(p)) }

var byteUnits = map[string]uint{"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}

// Set reads a size.
func (b *Bytes) Set(text string) error {
	bad := func() error { return fmt.Errorf("size %q: want a number and a unit, such as 24GiB or 500M", text) }
	s := strings.ToLower(strings.TrimSpace(text))
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz ")
	unit := strings.TrimSpace(s[len(number):])
	if len(unit) > 1 {
		unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	}
	shift, ok := byteUnits[unit]
	value, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || strings.ContainsAny(number, "+-exnp_") {
		return bad()
	}
	value *= float64(uint64(1) << shift)
	if value >= 1<<60 || value != math.Trunc(value) {
		return bad()
	}
	*b = Bytes(value)
	return nil
}

// String is for people: whole units, "24 GiB", and otherwise one decimal.
func (b Bytes) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		size := Bytes(1) << (40 - 10*i)
		switch {
		case b < size:
			continue
		case b%size == 0:
			return fmt.Sprintf("%d %s", b/size, unit)
		case b/size < 1024:
			return fmt.Sprintf("%.1f %s", float64(b)/float64(size), unit)
		}
	}
	return fmt.Sprintf("%d B", uint64(b))
}

// exact writes whole units, however many.
func (b Bytes) exact() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if size := Bytes(1) << (40 - 10*i); b >= size && b%size == 0 {
			return fmt.Sprintf("%d%s", b/size, unit)
		}
	}
	return fmt.Sprintf("%dB", uint64(b))
}

// Set reads a duration.
func (d *Duration) Set(text string) error {
	s := strings.TrimSpace(text)
	var days time.Duration
	if whole, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(whole, 10, 16)
		if err != nil {
			return fmt.Errorf("duration %q: want something like 90s, 1h30m or 2d", text)
		}
		days, s = time.Duration(n)*24*time.Hour, rest
		if s == "" {
			s = "0s"
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("duration %q: want something like 90s, 1h30m or 2d", text)
	}
	*d = Duration(days + v)
	return nil
}

// String writes a duration without zero units at its end: "1h30m", not "1h30m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Set reads a number of cores.
func (c *CPUs) Set(text string) error {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(v > 0) || v > 4096 {
		return fmt.Errorf("cpus %q: want a number of cores such as 2 or 0.5", text)
	}
	*c = CPUs(max(1, math.Round(v*1000)))
	return nil
}

func (c CPUs) String() string { return strconv.FormatFloat(float64(c)/1000, 'f', -1, 64) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *Price) UnmarshalYAML(n *yaml.Node) error { return scalar(n, p.Set) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (b *Bytes) UnmarshalYAML(n *yaml.Node) error { return scalar(n, b.Set) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error { return scalar(n, d.Set) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *CPUs) UnmarshalYAML(n *yaml.Node) error { return scalar(n, c.Set) }

// MarshalYAML implements yaml.Marshaler. It is text: a bare 0.50 would be read back as 0.5.
func (p Price) MarshalYAML() (any, error) { return p.String(), nil }

// MarshalYAML implements yaml.Marshaler. What is read back is the very same size.
func (b Bytes) MarshalYAML() (any, error) { return b.exact(), nil }

// MarshalYAML implements yaml.Marshaler.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// MarshalYAML implements yaml.Marshaler.
func (c CPUs) MarshalYAML() (any, error) { return c.String(), nil }

// Access is a job.Access as a file has it.
type Access job.Access

// UnmarshalYAML implements yaml.Unmarshaler.
func (a *Access) UnmarshalYAML(n *yaml.Node) error { return scalar(n, (*job.Access)(a).Set) }
