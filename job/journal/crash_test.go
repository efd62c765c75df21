package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Power is lost at a random operation, opening included, and each sector that
// was not synced is there or not. Whatever was acknowledged must be there.
func TestPowerLossTakesNothingThatWasAcknowledged(t *testing.T) {
	var cut, kept int64
	for seed := range uint64(600) {
		random := rand.New(rand.NewPCG(seed, 5))
		m := NewMemory()
		acknowledged, tried := 0, 0
		for range 4 {
			c, k := untilPowerLoss(t, m, random, &acknowledged, &tried)
			cut, kept = cut+c, kept+k
			m = m.PowerLoss(random)
			j, err := OpenFS(m.clone())
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got := replayed(t, j)
			if len(got) < acknowledged || len(got) > tried {
				t.Fatalf("seed %d: %d records; %d were acknowledged of %d", seed, len(got), acknowledged, tried)
			}
			for i, r := range got {
				if r.At.Unix() != int64(i) {
					t.Fatalf("seed %d: record %d is number %d", seed, i, r.At.Unix())
				}
			}
			acknowledged, tried = len(got), len(got)
		}
	}
	if cut == 0 || kept == 0 {
		t.Errorf("the test never saw a torn tail (%d) or a record kept without a promise (%d)", cut, kept)
	}
}

var errPower = errors.New("the power went")

// untilPowerLoss opens and appends batches until the power goes. It gives the
// bytes that Open cut and the records it found beyond the head.
func untilPowerLoss(t *testing.T, m *Memory, random *rand.Rand, acknowledged, tried *int) (cut, kept int64) {
	left := random.IntN(40)
	m.Fail = func(string, string) error {
		if left--; left < 0 {
			return errPower
		}
		return nil
	}
	_, st, err := openHead(&memoryFile{in: m, data: m.dataOf(headName)})
	if err != nil {
		t.Fatal(err)
	}
	j, err := OpenFS(m)
	if err != nil {
		return 0, 0
	}
	cut, kept = j.Cut(), int64(j.Records()-st.committed.records)
	*acknowledged, *tried = int(j.Records()), int(j.Records())
	for {
		n := 1 + random.IntN(6)
		for i := range n - 1 {
			j.join(mustEncode(t, note(*tried+i)))
		}
		*tried += n
		if err := j.Append(note(*tried - 1)); err != nil {
			return cut, kept
		}
		*acknowledged = *tried
	}
}

func (m *Memory) dataOf(name string) []byte {
	if f := m.files[name]; f != nil {
		return f.data
	}
	return nil
}

// TestMain is also the program that TestKill kills.
func TestMain(m *testing.M) {
	if folder := os.Getenv("JOURNAL_TEST_FOLDER"); folder != "" {
		appendUntilKilled(folder)
	}
	os.Exit(m.Run())
}

// appendUntilKilled writes a line to standard output for each record that is durable.
func appendUntilKilled(folder string) {
	j, err := Open(folder)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	run := j.Records()
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d/%d", run, g, i)
				if err := j.Append(Record{Key: key, Event: make([]byte, 100+i%900)}); err != nil {
					return
				}
				out.Lock()
				fmt.Println(key)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestKillTakesNothingThatWasAcknowledged(t *testing.T) {
	folder := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range 8 {
		for _, key := range runAndKill(t, folder, 20+round*40) {
			acknowledged[key] = true
		}
		j, err := Open(folder)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		there := map[string]bool{}
		for _, r := range replayed(t, j) {
			there[r.Key] = true
		}
		for key := range acknowledged {
			if !there[key] {
				t.Fatalf("round %d: record %s was acknowledged and is lost", round, key)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records were acknowledged", len(acknowledged))
}

// runAndKill runs the child until it has acknowledged some records, kills it,
// and gives all that it acknowledged.
func runAndKill(t *testing.T, folder string, lines int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "JOURNAL_TEST_FOLDER="+folder)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	in := bufio.NewReader(stdout)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a line without its end was not said
		}
		if err != nil {
			t.Fatal(err)
		}
		key := strings.TrimSpace(line)
		if run, _, ok := strings.Cut(key, "/"); !ok || !numeric(run) {
			t.Fatalf("child: %s", line)
		}
		if keys = append(keys, key); len(keys) == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	return keys
}

func numeric(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}
