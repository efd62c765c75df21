//go:build linux

package main

import "testing"

func TestBenchmarksAreReadByPackageAndUnit(t *testing.T) {
	b := parseBenchmarks([]byte("goos: linux\npkg: x/job/receipt\nBenchmarkVerify-2   10  1500000 ns/op  1488 bytes\n" +
		"BenchmarkVerify-2   10  2500000 ns/op  1488 bytes\npkg: x/job/heartbeat/seal\nBenchmarkVerify-2  3  500000 ns/op\nPASS\n"))
	if got := b.ms("receipt.Verify"); len(got) != 2 || got[0] != 1.5 || b["receipt.Verify bytes"].median() != 1488 || b.ms("seal.Verify").median() != 0.5 {
		t.Errorf("%v", b)
	}
	if got := b.ms("seal.Verify").by(100).over(b.ms("receipt.Verify")); len(got) != 1 || got[0] != 20 {
		t.Errorf("%v", got)
	}
}
