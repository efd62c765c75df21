package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rigmesh/rigmesh/job/owner"
)

// Key is one setting as a person names it on the command line.
type Key struct {
	Name string // "price.floor": the way to it in config.yaml
	Help string // in a few words, with the unit
	Live bool   // a node that runs takes it at once
	List bool   // it takes several values
	get  func(Config) string
}

// Get is the key's value, as Set would take it.
func (k Key) Get(c Config) string { return k.get(c) }

// Keys are all settings but those of single devices, in the order in which they are listed.
func Keys() []Key { return slices.Clone(keys) }

var keys = []Key{
	{Name: "price.floor", Help: "the least you take, in credits per GPU-hour", Live: true, get: func(c Config) string { return Price(c.Price).String() }},
	{Name: "price.electricity", Help: "what you pay, in credits per kWh; no device is lent for less than it costs", Live: true, get: func(c Config) string { return Price(c.Tariff).String() }},
	{Name: "lend.hours", Help: "when devices are lent, such as \"mon-fri 18:00-08:00\"; empty: always", Live: true, List: true, get: func(c Config) string { return listed(c.Hours) }},
	{Name: "lend.quiet", Help: "when they are not", Live: true, List: true, get: func(c Config) string { return listed(c.Quiet) }},
	{Name: "lend.idle-only", Help: "only while nobody else uses the machine", Live: true, get: func(c Config) string { return strconv.FormatBool(c.IdleOnly) }},
	{Name: "lend.idle-after", Help: "how long nobody must have used it", Live: true, get: func(c Config) string { return Duration(c.IdleAfter).String() }},
	{Name: "lend.yield-after", Help: "how long somebody must have used it before a lease has to go", Live: true, get: func(c Config) string { return Duration(c.YieldAfter).String() }},
	{Name: "lend.notice", Help: "how long before a lease is ended its requester is told", Live: true, get: func(c Config) string { return Duration(c.Notice).String() }},
	{Name: "lend.watts", Help: "the most each device may draw; 0: what its maker allows", Live: true, get: func(c Config) string { return Watts(c.Every.Power).String() }},
	{Name: "lend.temperature", Help: "the ceiling in °C: throttle, then pause, then hand back; 0: none", Live: true, get: func(c Config) string { return Degrees(c.Every.Temperature).String() }},
	{Name: "lend.reserve-vram", Help: "memory of each device that you keep: so much less is offered, and a task that takes it is shown", Live: true, get: func(c Config) string { return Bytes(c.Every.Reserve).exact() }},
	{Name: "lend.reserve-strict", Help: "end the lease of a task that takes memory you keep", Live: true, get: func(c Config) string { return strconv.FormatBool(c.StrictReserve) }},
	{Name: "lend.allow", Help: "the only requesters you serve, by peer id; empty: all", Live: true, List: true, get: func(c Config) string { return listed(c.Allow) }},
	{Name: "lend.deny", Help: "requesters you never serve", Live: true, List: true, get: func(c Config) string { return listed(c.Deny) }},
	{Name: "name", Help: "of this machine, for you", get: func(c Config) string { return c.Name }},
	{Name: "network", Help: "nodes of different networks never meet", get: func(c Config) string { return c.Network }},
	{Name: "listen", Help: "addresses to listen on", List: true, get: func(c Config) string { return listed(c.Listen) }},
	{Name: "bootstrap", Help: "nodes to begin with", List: true, get: func(c Config) string { return listed(c.Bootstrap) }},
	{Name: "mdns", Help: "look for nodes on the local network: true or false", get: func(c Config) string { return strconv.FormatBool(c.Reach.MDNS) }},
	{Name: "port-map", Help: "have the router forward our ports, by UPnP or NAT-PMP: true or false", get: func(c Config) string { return strconv.FormatBool(c.Reach.PortMap) }},
	{Name: "relay", Help: "the most a connection of two others through this node may carry each way; 0: relay nothing", get: func(c Config) string { return Bytes(c.Reach.RelayBytes).exact() }},
	{Name: "upload-max", Help: "the most that images and files take of your line towards others, a second, such as 2MiB; 0B: no bound", get: func(c Config) string { return Bytes(c.Reach.UploadMax).exact() }},
	{Name: "psk", Help: "file with the key of a private network; empty: an open one", get: func(c Config) string { return c.Reach.PSK }},
	{Name: "simulate-gpu", Help: "devices to make up, such as rtx-4090:2 or flaky:rtx-4090", get: func(c Config) string { return c.SimulateGPU }},
	{Name: "region", Help: "where the machine is, such as eu-west; requesters may ask for it", get: func(c Config) string { return c.Market.Region }},
	{Name: "min-duration", Help: "the shortest limit of a lease worth its start; 0s: any", get: func(c Config) string { return Duration(c.Market.MinDuration).String() }},
	{Name: "stamp-bits", Help: "proof of work you ask of requesters, in bits; 0: none", get: func(c Config) string { return strconv.Itoa(c.Market.StampBits) }},
	{Name: "max-duration", Help: "the longest lease", get: func(c Config) string { return Duration(c.MaxDuration).String() }},
	{Name: "absent-grace", Help: "the longest silence of a requester", get: func(c Config) string { return Duration(c.AbsentGrace).String() }},
	{Name: "containerd", Help: "socket of the system's containerd, to use it; empty: a containerd of our own", get: func(c Config) string { return c.Containerd }},
	{Name: "egress", Help: "what a job may reach of the internet: none, hosts that it lists, or public", get: func(c Config) string { return c.Egress.String() }},
	{Name: "images.share", Help: "other workers may have the public images that are here", get: func(c Config) string { return strconv.FormatBool(c.Images.Share) }},
	{Name: "images.registries", Help: "ask registries for public images; false: requesters and other workers alone", get: func(c Config) string { return strconv.FormatBool(c.Images.Registries) }},
	{Name: "images.allow", Help: "the only images you run, such as docker.io/library; empty: all", List: true, get: func(c Config) string { return listed(c.Images.Allow) }},
	{Name: "images.deny", Help: "images you do not run, such as docker.io/someone", List: true, get: func(c Config) string { return listed(c.Images.Deny) }},
	{Name: "images.max-size", Help: "the largest image, as it is sent", get: func(c Config) string { return Bytes(c.Images.MaxBytes).exact() }},
	{Name: "images.max-layers", Help: "the most layers of one", get: func(c Config) string { return strconv.Itoa(c.Images.MaxLayers) }},
	{Name: "fetch-inputs", Help: "fetch inputs that a job names by their digest: from the web, at public addresses, and from nodes that share them", get: func(c Config) string { return strconv.FormatBool(c.FetchInputs) }},
	{Name: "store.max", Help: "the most that images and files may take between jobs, such as 50GiB; 0B: half of the free disk", get: func(c Config) string { return Bytes(c.Store.Max).exact() }},
	{Name: "metrics", Help: "loopback address for Prometheus, such as 127.0.0.1:9400", get: func(c Config) string { return c.Metrics }},
	{Name: "log-level", Help: "debug, info, warn or error", get: func(c Config) string { return c.LogLevel }},
}

// deviceKeys are the settings of one device: device.NAME.price and so on. What is not set
// is empty.
var deviceKeys = []struct {
	name string
	get  func(owner.DeviceRule) string
}{
	{"lend", func(r owner.DeviceRule) string { return shown(r.Lend, strconv.FormatBool) }},
	{"price", func(r owner.DeviceRule) string { return shown((*Price)(r.Price), Price.String) }},
	{"watts", func(r owner.DeviceRule) string { return shown((*Watts)(r.Power), Watts.String) }},
	{"temperature", func(r owner.DeviceRule) string { return shown((*Degrees)(r.Temperature), Degrees.String) }},
	{"reserve-vram", func(r owner.DeviceRule) string { return shown((*Bytes)(r.Reserve), Bytes.exact) }},
}

func shown[T any](v *T, text func(T) string) string {
	if v == nil {
		return ""
	}
	return text(*v)
}

func listed(items []string) string { return strings.Join(items, "; ") }

// FindKey finds a setting by its name, also one of a device. The error names the nearest.
func FindKey(name string) (Key, error) {
	if device, setting, ok := deviceKey(name); ok {
		return findDeviceKey(name, device, setting)
	}
	var known []string
	for _, k := range keys {
		if k.Name == name {
			return k, nil
		}
		known = append(known, k.Name)
	}
	return Key{}, fmt.Errorf("unknown setting %q%s", name, DidYouMean(name, append(known, "device.0.price")))
}

// deviceKey splits "device.rtx-3090.price". A UUID has no dots.
func deviceKey(name string) (device, setting string, ok bool) {
	rest, ok := strings.CutPrefix(name, "device.")
	if !ok {
		return "", "", false
	}
	device, setting, _ = strings.Cut(rest, ".")
	return device, setting, true
}

func findDeviceKey(name, device, setting string) (Key, error) {
	var known []string
	for _, k := range deviceKeys {
		if k.name != setting || device == "" {
			known = append(known, k.name)
			continue
		}
		return Key{Name: name, Help: "of one device or model", Live: true, get: func(c Config) string {
			for _, r := range c.Devices {
				if r.Name == device {
					return k.get(r)
				}
			}
			return ""
		}}, nil
	}
	return Key{}, fmt.Errorf("unknown setting %q of a device%s (want device.NAME.%s; NAME is a UUID, a number from 0 on, or a model)",
		setting, DidYouMean(setting, known), strings.Join(known, ", "))
}

// Settings are the names and values of all settings, those of single devices last.
func Settings(c Config) [][2]string {
	var out [][2]string
	for _, k := range keys {
		out = append(out, [2]string{k.Name, k.get(c)})
	}
	return append(out, DeviceSettings(c)...)
}

// DeviceSettings are the names and values that are set for single devices.
func DeviceSettings(c Config) [][2]string {
	var out [][2]string
	for _, r := range c.Devices {
		for _, k := range deviceKeys {
			if v := k.get(r); v != "" {
				out = append(out, [2]string{"device." + r.Name + "." + k.name, v})
			}
		}
	}
	return out
}
