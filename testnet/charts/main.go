// Command charts writes what `make sim` measured into a document, as a table and charts,
// between two marks that the document has.
//
//	go run ./testnet/charts -figures bin/sim.figures -into docs/scale.md
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"github.com/rigmesh/rigmesh/testnet/figure"
)

const (
	begin = "<!-- figures: written by make sim -->\n"
	end   = "<!-- end of figures -->\n"
)

func main() {
	figures := flag.String("figures", "bin/sim.figures", "file that the simulations wrote")
	into := flag.String("into", "docs/scale.md", "document to write them into")
	flag.Parse()
	if err := write(*figures, *into); err != nil {
		fmt.Fprintln(os.Stderr, "charts:", err)
		os.Exit(1)
	}
}

func write(figures, into string) error {
	all, err := figure.Read(figures)
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	doc, err := os.ReadFile(into)
	if err != nil {
		return err
	}
	doc, err = splice(doc, render(all))
	if err != nil {
		return fmt.Errorf("write into %s: %w", into, err)
	}
	return os.WriteFile(into, doc, 0o644)
}

// splice puts text between the marks of a document.
func splice(doc []byte, text string) ([]byte, error) {
	before, rest, ok := bytes.Cut(doc, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return nil, fmt.Errorf("no place for figures: it needs the lines %q and %q", begin, end)
	}
	return bytes.Join([][]byte{before, []byte(begin), []byte(text), []byte(end), after}, nil), nil
}
