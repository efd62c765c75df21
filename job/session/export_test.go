package session

// Held is how many slots a guard remembers, and how many closes of leases.
func (g *Guard) Held() (slots, closes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.taken), len(g.closed)
}
