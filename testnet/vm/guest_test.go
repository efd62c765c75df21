//go:build linux

package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/testnet/vm/wire"
)

// machineOf answers every request with what answer gives, after having started.
func machineOf(t *testing.T, answer func(wire.Request) []wire.Answer) *guest {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _ = there.Close() })
	g := newGuest(here)
	t.Cleanup(g.close)
	go func() {
		out := json.NewEncoder(there)
		_ = out.Encode(wire.Answer{Boot: "first"})
		for in := json.NewDecoder(there); ; {
			var r wire.Request
			if in.Decode(&r) != nil {
				return
			}
			for _, a := range answer(r) {
				_ = out.Encode(a)
			}
		}
	}()
	return g
}

func TestAnswersOfAnEarlierStartAreNotTakenForThoseOfThis(t *testing.T) {
	g := machineOf(t, func(r wire.Request) []wire.Answer {
		return []wire.Answer{{ID: r.ID - 1, Output: "late"}, {Boot: "first"}, {ID: r.ID, Output: r.Script + "\n", Code: 3}}
	})
	if err := g.started(t.Context()); err != nil || g.boot != "first" {
		t.Fatalf("boot %q, %v", g.boot, err)
	}
	if out, code, err := g.try(t.Context(), "one"); err != nil || out != "one" || code != 3 {
		t.Errorf("%q, %d, %v", out, code, err)
	}
	if _, err := g.run(t.Context(), "two"); err == nil || !strings.Contains(err.Error(), `"two" ended with 3`) {
		t.Errorf("%v", err)
	}
}

func TestARestartIsToldFromTheStartBefore(t *testing.T) {
	g := machineOf(t, func(wire.Request) []wire.Answer { return []wire.Answer{{Boot: "first"}, {Boot: "second"}} })
	if err := g.started(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.send("reboot"); err != nil {
		t.Fatal(err)
	}
	if err := g.started(t.Context()); err != nil || g.boot != "second" {
		t.Errorf("boot %q, %v", g.boot, err)
	}
}

func TestOnlyAttemptsThatSucceedUnprotectedCount(t *testing.T) {
	out := `attempt a unprotected=ok protected=denied by=x
attempt b unprotected=absent protected=absent by=x
attempt c unprotected=denied protected=denied by=x
attempt d unprotected=ok protected=ok by=x`
	if got, want := attempts(out), "; 4 attempts, 1 succeed unprotected and are denied protected, nothing to attack for 1 (b)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := attempts("no table"); got != "" {
		t.Errorf("%q", got)
	}
}
