package lease

import "time"

// A machine can sleep while a lease runs. The lease's own time goes on, and with it
// what silence leads to; but a task that sleeps with its machine serves nobody, so
// that time is not counted.

// sleep takes what the machine slept since it last said so from what is counted. A
// total that fell is another machine's count, or another boot's, to go on from.
func (t *turn) sleep(total time.Duration) {
	total = total.Truncate(time.Millisecond) // as the journal has it
	slept := total - t.worker.asleep
	t.worker.asleep = total
	if m := t.worker.meter; slept > 0 && m.running() {
		awake := max(0, t.now.Sub(m.since)-slept)
		m.countedMS = min(m.countedMS+uint64(awake.Milliseconds()), t.creditLimit())
		m.since = t.now
		t.worker.meter = m
	}
}

// Asleep is how long the machine has slept, as Slept said last.
func (l Lease) Asleep() time.Duration { return l.worker.asleep }
