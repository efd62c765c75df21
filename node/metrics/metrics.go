// Package metrics serves what a machine does to Prometheus, on a loopback port, to
// whoever knows the token in the data directory. A browser that somebody else's page
// drives gets nothing: neither another Host nor any Origin is answered.
package metrics

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/journal"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// TokenFile is the file in the data directory that holds the token.
const TokenFile = "metrics.token"

// Devices tells how every device stands; an error where there are none.
type Devices func() (*controlv1.ListDevicesResponse, error)

// Config is what a server needs.
type Config struct {
	Addr    string // loopback host and port; 0: any
	DataDir string
	Version string
	Devices Devices
	Log     *slog.Logger
}

// Serve answers until ctx ends.
func Serve(ctx context.Context, c Config) error {
	token, err := loadToken(filepath.Join(c.DataDir, TokenFile))
	if err != nil {
		return fmt.Errorf("token for metrics: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	c.Log.Info("metrics for Prometheus", "url", "http://"+l.Addr().String()+"/metrics", "token", filepath.Join(c.DataDir, TokenFile))
	srv := &http.Server{
		Handler: Handler(c, token), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// loadToken reads the token, or makes one that only this user can read.
func loadToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(b)); err == nil && len(text) >= 32 {
		return text, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails: crypto/rand ends the process instead
	token := hex.EncodeToString(random)
	return token, journal.WriteFile(path, []byte(token+"\n"))
}

// Handler answers GET /metrics, and nothing else.
func Handler(c Config, token string) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{c})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}))
	return guarded(token, mux)
}

// guarded lets only those through who name this machine and know the token.
func guarded(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case !local(r.Host), r.Header.Get("Origin") != "":
			http.Error(w, "not for pages of others", http.StatusForbidden)
		case !bearer || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is in "+TokenFile+" in the data directory", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// local says whether a Host is this machine by a name that nobody can point elsewhere.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// collector makes metrics of how devices stand at the moment they are asked for.
type collector struct{ Config }

var deviceLabels = []string{"gpu", "uuid", "model", "simulated"}

// gauge is one figure of a device, and the readings it needs.
type gauge struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	needs gpu.Reading
	of    func(*controlv1.OwnedDevice) float64
}

func device(name, help string, kind prometheus.ValueType, needs gpu.Reading, of func(*controlv1.OwnedDevice) float64) gauge {
	return gauge{prometheus.NewDesc("rigmesh_gpu_"+name, help, deviceLabels, nil), kind, needs, of}
}

var gauges = []gauge{
	device("utilization_ratio", "Share of the last second in which something ran.", prometheus.GaugeValue, gpu.ReadUtilisation,
		func(d *controlv1.OwnedDevice) float64 { return float64(d.Utilisation) / 100 }),
	device("memory_used_bytes", "Memory in use.", prometheus.GaugeValue, gpu.ReadMemory,
		func(d *controlv1.OwnedDevice) float64 { return float64(d.MemoryUsed) }),
	device("power_watts", "Power drawn.", prometheus.GaugeValue, gpu.ReadPower,
		func(d *controlv1.OwnedDevice) float64 { return float64(d.PowerMw) / 1000 }),
	device("power_limit_watts", "Power limit in force.", prometheus.GaugeValue, gpu.ReadPowerLimit,
		func(d *controlv1.OwnedDevice) float64 { return float64(d.PowerLimitMw) / 1000 }),
	device("energy_joules_total", "Energy drawn since the driver was loaded.", prometheus.CounterValue, gpu.ReadEnergy,
		func(d *controlv1.OwnedDevice) float64 { return float64(d.EnergyMj) / 1000 }),
	device("temperature_celsius", "Temperature of the chip.", prometheus.GaugeValue, gpu.ReadTemperature,
		func(d *controlv1.OwnedDevice) float64 { return float64(d.Temperature) }),
	device("price_credits_per_hour", "Least price at which it is lent.", prometheus.GaugeValue, 0,
		func(d *controlv1.OwnedDevice) float64 { return float64(d.Price) / 1e6 }),
	device("lent", "1 when it is offered or leased, 0 when it is withheld.", prometheus.GaugeValue, 0,
		func(d *controlv1.OwnedDevice) float64 { return yes(d.Action == "lend") }),
	device("leased", "1 while somebody holds it.", prometheus.GaugeValue, 0,
		func(d *controlv1.OwnedDevice) float64 { return yes(d.Lease != nil) }),
	device("foreign_processes", "Processes on it that are neither a lease's nor the desktop's.", prometheus.GaugeValue, 0,
		func(d *controlv1.OwnedDevice) float64 { return float64(len(d.Foreign)) }),
}

var (
	earned    = prometheus.NewDesc("rigmesh_earned_credits_total", "Credits by the receipts this node holds as a worker.", nil, nil)
	perHour   = prometheus.NewDesc("rigmesh_earning_credits_per_hour", "Credits an hour of the leases that run.", nil, nil)
	peers     = prometheus.NewDesc("rigmesh_connected_peers", "Nodes connected to this one.", nil, nil)
	info      = prometheus.NewDesc("rigmesh_info", "Always 1; the version is a label.", []string{"version"}, nil)
	withheld  = prometheus.NewDesc("rigmesh_gpu_withheld", "1 for the reason for which a device is not lent.", append(deviceLabels, "reason"), nil)
	leaseWork = prometheus.NewDesc("rigmesh_lease_energy_joules", "Energy that the devices of a lease drew so far.", []string{"lease"}, nil)
)

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, g := range gauges {
		out <- g.desc
	}
	for _, d := range []*prometheus.Desc{earned, perHour, peers, info, withheld, leaseWork} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(info, prometheus.GaugeValue, 1, c.Version)
	now, err := c.Devices()
	if err != nil {
		return // a node that only rents has none
	}
	var hour uint64
	leases := map[string]uint64{}
	for _, d := range now.Devices {
		labels := []string{fmt.Sprint(d.Number), d.Uuid, d.Model, fmt.Sprint(d.Simulated)}
		for _, g := range gauges {
			if g.needs == 0 || d.ReadMs != 0 && gpu.Reading(d.Lacks)&g.needs == 0 {
				out <- prometheus.MustNewConstMetric(g.desc, g.kind, g.of(d), labels...)
			}
		}
		if d.Action != "lend" {
			out <- prometheus.MustNewConstMetric(withheld, prometheus.GaugeValue, 1, append(labels, d.Code)...)
		}
		if d.Lease != nil {
			hour += d.Lease.Price
			leases[d.Lease.Id] = d.Lease.EnergyMj
		}
	}
	for id, mj := range leases {
		out <- prometheus.MustNewConstMetric(leaseWork, prometheus.GaugeValue, float64(mj)/1000, id)
	}
	out <- prometheus.MustNewConstMetric(earned, prometheus.CounterValue, float64(now.Earned)/1e6)
	out <- prometheus.MustNewConstMetric(perHour, prometheus.GaugeValue, float64(hour)/1e6)
	out <- prometheus.MustNewConstMetric(peers, prometheus.GaugeValue, float64(now.ConnectedPeers))
}
