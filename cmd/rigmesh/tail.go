package main

// tail finds where the last lines of a text begin that comes in pieces. The zero value has
// seen nothing.
type tail struct {
	starts []uint64 // of the last lines, oldest first
	end    uint64   // how much was seen
	inLine bool     // the last line has no end yet
}

// add takes the next piece; lines is how many lines are wanted, the same each time.
func (t *tail) add(piece []byte, lines int) {
	for _, b := range piece {
		if !t.inLine {
			t.starts = append(t.starts, t.end)
			if len(t.starts) > 2*lines { // not each time: what is kept is moved then
				t.starts = append(t.starts[:0], t.starts[len(t.starts)-lines:]...)
			}
		}
		t.end++
		t.inLine = b != '\n'
	}
	if len(t.starts) > lines {
		t.starts = append(t.starts[:0], t.starts[len(t.starts)-lines:]...)
	}
}

// offset is where the wanted lines begin.
func (t *tail) offset() uint64 {
	if len(t.starts) == 0 {
		return t.end
	}
	return t.starts[0]
}
