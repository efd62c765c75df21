// Package figure keeps what simulations measured, one line of JSON each, so that runs
// of hours can be made one by one and drawn together.
package figure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// Figure is what one experiment measured.
type Figure struct {
	Experiment string // what was tried; Name is one case of it
	Name       string
	Nodes      int           // who kept the rules
	Reached    float64       // share of those who should have heard, 0 to 1
	P50, P99   time.Duration // until they heard
	Bytes      float64       // sent per node and announcement; 0: not measured
	CPU        time.Duration // used per node and announcement; 0: not measured
	Taken      time.Time
}

// Append adds a figure to a file. An empty name is no file, and no error.
func Append(file string, f Figure) error {
	if file == "" {
		return nil
	}
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keep a figure: %w", err)
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		_ = out.Close()
		return fmt.Errorf("keep a figure: %w", err)
	}
	return out.Close()
}

// Read gives the last figure of every case, in the order in which cases came first.
func Read(file string) ([]Figure, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []Figure
	for i, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
		var f Figure
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, fmt.Errorf("line %d of %s: %w", i+1, file, err)
		}
		same := func(o Figure) bool {
			return o.Experiment == f.Experiment && o.Name == f.Name && o.Nodes == f.Nodes
		}
		if at := slices.IndexFunc(out, same); at >= 0 {
			out[at] = f
		} else {
			out = append(out, f)
		}
	}
	return out, nil
}
