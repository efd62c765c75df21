package gpu

import "time"

// remembered is how long a process stays its tenant's that is listed no more: one that
// ends is in no list while the driver still clears up after it.
const remembered = time.Minute

// Own remembers which processes are a tenant's. A reading of a device is older than any
// list that can be held against it: whose a process was must have been asked while it lived.
// The zero Own knows of none; it is not safe for concurrent use.
type Own struct {
	before time.Time            // when the list before the last one was asked for
	asked  time.Time            // when the last one was
	listed map[uint32]time.Time // by PID, when one was last in a list
}

// Listed takes a list of the tenant's processes and when it was asked for.
func (o *Own) Listed(asked time.Time, pids []uint32) {
	if o.listed == nil {
		o.listed = map[uint32]time.Time{}
	}
	for _, pid := range pids {
		o.listed[pid] = asked
	}
	for pid, at := range o.listed {
		if asked.Sub(at) > remembered {
			delete(o.listed, pid)
		}
	}
	o.before, o.asked = o.asked, asked
}

// Has says whether a process is the tenant's, or was a moment ago.
func (o *Own) Has(pid uint32) bool {
	_, ok := o.listed[pid]
	return ok
}

// Strangers are the processes on a device that are certainly not the tenant's: they are
// in a reading from before a list was asked for and in the newest one, from after
// that, and in no list. Readings are one device's, the oldest first.
func (o *Own) Strangers(readings []Sample) []Process {
	var earlier map[uint32]bool
	for _, r := range readings {
		if !r.At.After(o.before) {
			earlier = map[uint32]bool{}
			for _, p := range r.Processes {
				earlier[p.PID] = true
			}
		}
	}
	if len(earlier) == 0 {
		return nil
	}
	var out []Process
	if newest := readings[len(readings)-1]; newest.At.After(o.before) {
		for _, p := range newest.Processes {
			if earlier[p.PID] && !o.Has(p.PID) {
				out = append(out, p)
			}
		}
	}
	return out
}
