package metrics

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/rigmesh/rigmesh/gpu"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

const token = "0123456789abcdef0123456789abcdef"

func devices() (*controlv1.ListDevicesResponse, error) {
	return &controlv1.ListDevicesResponse{Earned: 1_500_000, ConnectedPeers: 2, Devices: []*controlv1.OwnedDevice{
		{Uuid: "GPU-1", Model: "rtx-4090", Action: "lend", ReadMs: 1, PowerMw: 423_000, Price: 350_000, Lease: &controlv1.OwnedLease{Id: "77", Price: 350_000, EnergyMj: 5000}},
		{Number: 1, Uuid: "GPU-2", Model: "rtx-3060", Action: "hand back", Code: "lost", Lacks: uint32(gpu.ReadPower)},
	}}, nil
}

func get(t *testing.T, d Devices, change func(*http.Request)) (int, string) {
	t.Helper()
	h := Handler(Config{Version: "v1", Devices: d, Log: slog.New(slog.DiscardHandler)}, token)
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9400/metrics", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestMetricsSayWhatDevicesDo(t *testing.T) {
	code, body := get(t, devices, nil)
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	for _, want := range []string{
		`rigmesh_gpu_power_watts{gpu="0",model="rtx-4090",simulated="false",uuid="GPU-1"} 423`,
		`rigmesh_gpu_withheld{gpu="1",model="rtx-3060",reason="lost",simulated="false",uuid="GPU-2"} 1`,
		`rigmesh_gpu_leased{gpu="0",model="rtx-4090",simulated="false",uuid="GPU-1"} 1`,
		"rigmesh_earned_credits_total 1.5", "rigmesh_earning_credits_per_hour 0.35", `rigmesh_lease_energy_joules{lease="77"} 5`, `rigmesh_info{version="v1"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Contains(body, `rigmesh_gpu_power_watts{gpu="1"`) {
		t.Error("a power that was never read")
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestANodeThatOnlyRentsHasMetricsOfItsOwnAlone(t *testing.T) {
	code, body := get(t, func() (*controlv1.ListDevicesResponse, error) { return nil, errors.New("only rents") }, nil)
	if code != http.StatusOK || !strings.Contains(body, "rigmesh_info") || strings.Contains(body, "rigmesh_gpu_") {
		t.Errorf("%d: %s", code, body)
	}
}

func TestOthersGetNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"no token":      {func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized},
		"another token": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 32)) }, http.StatusUnauthorized},
		"another host":  {func(r *http.Request) { r.Host = "evil.example" }, http.StatusForbidden},
		"a page":        {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9400") }, http.StatusForbidden},
		"a post":        {func(r *http.Request) { r.Method = http.MethodPost }, http.StatusMethodNotAllowed},
		"another path":  {func(r *http.Request) { r.URL.Path = "/" }, http.StatusNotFound},
		"localhost":     {func(r *http.Request) { r.Host = "localhost:9400" }, http.StatusOK},
		"IPv6":          {func(r *http.Request) { r.Host = "[::1]:9400" }, http.StatusOK},
	} {
		if code, body := get(t, devices, c.change); code != c.want || code != http.StatusOK && strings.Contains(body, "rigmesh_gpu") {
			t.Errorf("%s: %d, want %d: %s", name, code, c.want, body)
		}
	}
}

func TestTheTokenIsMadeOnceAndOnlyItsOwnerReadsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), TokenFile)
	first, err := loadToken(path)
	if err != nil || len(first) != 64 {
		t.Fatal(first, err)
	}
	again, err := loadToken(path)
	if err != nil || again != first {
		t.Errorf("%s became %s, %v", first, again, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}
