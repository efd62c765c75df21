package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// fileName is the configuration file in a data directory.
const fileName = "config.yaml"

// file is the shape of config.yaml. A pointer tells what was said from what was not.
type file struct {
	Network   *string  `yaml:"network"`
	Name      *string  `yaml:"name"`
	Listen    []string `yaml:"listen"`
	Bootstrap []string `yaml:"bootstrap"`
	Price     *struct {
		Floor       *Price `yaml:"floor"`
		Electricity *Price `yaml:"electricity"`
	} `yaml:"price"`
	Lend        *lendFile    `yaml:"lend"`
	Devices     []deviceFile `yaml:"devices"`
	Containerd  *string      `yaml:"containerd"`
	Egress      *Access      `yaml:"egress"`
	FetchInputs *bool        `yaml:"fetch-inputs"`
	Images      *imagesFile  `yaml:"images"`
	Store       *storeFile   `yaml:"store"`
	Metrics     *string      `yaml:"metrics"`
	SimulateGPU *string      `yaml:"simulate-gpu"`
	MaxDuration *Duration    `yaml:"max-duration"`
	AbsentGrace *Duration    `yaml:"absent-grace"`
	LogLevel    *string      `yaml:"log-level"`

	StrangerLeases *int      `yaml:"stranger-leases"`
	StrangerBudget *Duration `yaml:"stranger-budget"`
	Region         *string   `yaml:"region"`
	MinDuration    *Duration `yaml:"min-duration"`
	StampBits      *int      `yaml:"stamp-bits"`

	MDNS      *bool   `yaml:"mdns"`
	PortMap   *bool   `yaml:"port-map"`
	Relay     *Bytes  `yaml:"relay"`
	UploadMax *Bytes  `yaml:"upload-max"`
	PSK       *string `yaml:"psk"`
}

// Load gives the defaults for dataDir, with what its config.yaml and then the environment say
// over them. The caller adds its flags and asks Validate.
func Load(dataDir string, getenv func(string) string) (Config, error) {
	c := Default(dataDir)
	text, err := ReadFile(dataDir)
	if err != nil {
		return Config{}, err
	}
	var f file
	if err := DecodeStrict(FilePath(dataDir), text, &f); err != nil {
		return Config{}, err
	}
	f.over(&c)
	if err := environment(&c, getenv); err != nil {
		return Config{}, err
	}
	return c, nil
}

// FilePath is where the configuration of a data directory is.
func FilePath(dataDir string) string { return filepath.Join(dataDir, fileName) }

// ReadFile gives the text of config.yaml; none is an empty one.
func ReadFile(dataDir string) ([]byte, error) {
	text, err := os.ReadFile(FilePath(dataDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return text, nil
}

// over sets what the file says.
func (f file) over(c *Config) {
	set(&c.Network, f.Network)
	set(&c.Name, f.Name)
	set(&c.SimulateGPU, f.SimulateGPU)
	set(&c.LogLevel, f.LogLevel)
	set(&c.StrangerLeases, f.StrangerLeases)
	if f.Listen != nil {
		c.Listen = f.Listen
	}
	if f.Bootstrap != nil {
		c.Bootstrap = f.Bootstrap
	}
	if f.Price != nil {
		set((*Price)(&c.Price), f.Price.Floor)
		set((*Price)(&c.Tariff), f.Price.Electricity)
	}
	if f.Lend != nil {
		f.Lend.over(c)
	}
	for _, d := range f.Devices {
		c.Devices = append(c.Devices, d.rule())
	}
	set(&c.Containerd, f.Containerd)
	set((*Access)(&c.Egress), f.Egress)
	set(&c.Metrics, f.Metrics)
	f.market(&c.Market)
	f.reach(&c.Reach)
	f.Store.over(&c.Store)
	f.Images.over(&c.Images)
	set(&c.FetchInputs, f.FetchInputs)
	if f.MaxDuration != nil {
		c.MaxDuration = time.Duration(*f.MaxDuration)
	}
	if f.StrangerBudget != nil {
		c.StrangerBudget = time.Duration(*f.StrangerBudget)
	}
	if f.AbsentGrace != nil {
		c.AbsentGrace = time.Duration(*f.AbsentGrace)
	}
}

func set[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// environment sets what RIGMESH_… variables say, and names every bad one.
func environment(c *Config, getenv func(string) string) error {
	var problems []error
	parsed := func(name string, set func(string) error) {
		if text := getenv(name); text != "" {
			if err := set(text); err != nil {
				problems = append(problems, fmt.Errorf("environment variable %s: %w", name, err))
			}
		}
	}
	text := func(name string, dst *string) {
		parsed(name, func(s string) error { *dst = s; return nil })
	}
	list := func(name string, dst *[]string) {
		parsed(name, func(s string) error { *dst = splitList(s); return nil })
	}
	text("RIGMESH_NETWORK", &c.Network)
	text("RIGMESH_NAME", &c.Name)
	text("RIGMESH_SIMULATE_GPU", &c.SimulateGPU)
	text("RIGMESH_LOG_LEVEL", &c.LogLevel)
	text("RIGMESH_METRICS", &c.Metrics)
	text("RIGMESH_CONTAINERD", &c.Containerd)
	text("RIGMESH_PSK", &c.Reach.PSK)
	list("RIGMESH_LISTEN", &c.Listen)
	list("RIGMESH_BOOTSTRAP", &c.Bootstrap)
	parsed("RIGMESH_EGRESS", c.Egress.Set)
	parsed("RIGMESH_MDNS", (*Switch)(&c.Reach.MDNS).Set)
	parsed("RIGMESH_PORT_MAP", (*Switch)(&c.Reach.PortMap).Set)
	parsed("RIGMESH_RELAY", (*Bytes)(&c.Reach.RelayBytes).Set)
	parsed("RIGMESH_UPLOAD_MAX", (*Bytes)(&c.Reach.UploadMax).Set)
	parsed("RIGMESH_STORE_MAX", (*Bytes)(&c.Store.Max).Set)
	parsed("RIGMESH_PRICE", (*Price)(&c.Price).Set)
	parsed("RIGMESH_MAX_DURATION", (*Duration)(&c.MaxDuration).Set)
	parsed("RIGMESH_STRANGER_LEASES", func(s string) (err error) {
		if c.StrangerLeases, err = strconv.Atoi(s); err != nil {
			err = fmt.Errorf("%q: want a number of leases", s)
		}
		return err
	})
	parsed("RIGMESH_STRANGER_BUDGET", (*Duration)(&c.StrangerBudget).Set)
	parsed("RIGMESH_ABSENT_GRACE", (*Duration)(&c.AbsentGrace).Set)
	return errors.Join(problems...)
}

// splitList reads a list of addresses, separated by commas or spaces.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
