package witness

// MaxWorkerRemember is how many leases of one worker are remembered.
const MaxWorkerRemember = maxWorkerRemember

// Remembered is how many leases a witness has in memory.
func (w *Witness) Remembered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.watches)
}
