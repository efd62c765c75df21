//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"
)

// beatNotes say how the table of heartbeats is to be read.
const beatNotes = `Figures of the rules are Go benchmarks on one core, without journal or network. Verifying a receipt of two
parties is six Ed25519 signatures, which the row below it times alone: what is beyond them is reading the file. They are
checked one by one, because a batch accepts signatures that a single check refuses. Exposure is no figure of a run: the simulated
days of job/session hold it (docs/heartbeats.md). Of checking each seal by its own proof, half is testing
their primes and half the product of all of them; one proof for all has one prime. Where a goal is missed, docs/heartbeats.md
says from a profile what the time goes into.`

// benchmarks are results of go test -bench: by package, name and unit.
type benchmarks map[string]samples

func (b benchmarks) ms(name string) (out samples) {
	for _, ns := range b[name+" ns/op"] {
		out = append(out, ns/float64(time.Millisecond))
	}
	return out
}

// ruleBenchmarks runs the Go benchmarks of the pure rules, three times each.
func ruleBenchmarks(ctx context.Context) (benchmarks, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$",
		"-bench", "^Benchmark(Beat|Replay|Verify|VerifyDay|Audit|Wire|SixSignatures|Make|VerifyBatchOfADay|VerifyFoldOfADay)$",
		"-benchtime", "0.3s", "-count", "3", "-p", "1", "./job/lease", "./job/receipt", "./job/heartbeat/seal")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	return parseBenchmarks(out), nil
}

func parseBenchmarks(out []byte) benchmarks {
	all, pkg := benchmarks{}, ""
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 2 && fields[0] == "pkg:" {
			pkg = path.Base(fields[1])
		}
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(strings.SplitN(fields[0], "-", 2)[0], "Benchmark")
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				key := pkg + "." + name + " " + fields[i+1]
				all[key] = append(all[key], v)
			}
		}
	}
	return all
}

// aDay is how many heartbeats a lease of 24 hours has.
const aDay = 1440

// ruleRows are the figures of the rules beside their goals.
func ruleRows(ctx context.Context) ([]row, error) {
	b, err := ruleBenchmarks(ctx)
	if err != nil {
		return nil, err
	}
	seal, kib := b.ms("seal.Make"), func(name string) samples { return b[name].by(1.0 / 1024) }
	rows := []row{
		plain("CPU of one beat without its seal, both sides", b.ms("lease.Beat"), "ms", atMost(0.3, "≤ 0.3 ms")),
		plain("wire per beat: challenge, beat, ack and seal", kib("receipt.Wire bytes"), "KiB", atMost(2, "≤ 2 KiB")),
		plain("seal of 2¹⁸ squarings, of one core over 60 s", seal.by(100.0/60_000), "%", atMost(1, "≤ 1 %")),
		plain("verify a seal", b.ms("seal.Verify"), "ms", atMost(1, "≤ 1 ms")),
		plain("making a seal is so many times dearer", seal.over(b.ms("seal.Verify")), "×", atLeast(500, "≥ 500 ×")),
		plain("verify the 1,440 seals of a day, each by its own proof", b.ms("seal.VerifyBatchOfADay"), "ms", limit{}),
		plain("verify them by the one proof that a node makes of them in the end", b.ms("seal.VerifyFoldOfADay"), "ms", limit{}),
		plain("making those seals is so many times dearer", seal.by(aDay).over(b.ms("seal.VerifyFoldOfADay")), "×", atLeast(5000, "≥ 5,000 ×")),
		plain("verify a receipt of two parties", b.ms("receipt.Verify"), "ms", atMost(0.3, "≤ 0.3 ms")),
		plain("… of which six Ed25519 signatures", b.ms("receipt.SixSignatures"), "ms", limit{}),
		plain("receipt of 24 h, 4 periods × 3 witnesses", kib("receipt.VerifyDay bytes"), "KiB", atMost(7, "≤ 7 KiB")),
		plain("verify it", b.ms("receipt.VerifyDay"), "ms", atMost(1.5, "≤ 1.5 ms")),
		plain("replay a whole lease of 24 h (1,440 beats) from its file", b.ms("receipt.Audit"), "ms", atMost(500, "≤ 500 ms")),
		plain("replay it from the journal, requester", b.ms("lease.Replay/requester"), "ms", atMost(500, "≤ 500 ms")),
		plain("replay it from the journal, worker", b.ms("lease.Replay/worker"), "ms", atMost(500, "≤ 500 ms")),
	}
	return rows, nil
}
