// Command charts writes what `make sim` measured into a document, as a table and charts.
//
//	go run ./testnet/charts -figures bin/sim.figures -into docs/scale.md
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/rigmesh/rigmesh/testnet/figure"
)

func main() {
	figures := flag.String("figures", "bin/sim.figures", "file that the simulations wrote")
	into := flag.String("into", "docs/scale.md", "document to write them into")
	flag.Parse()
	all, err := figure.Read(*figures)
	if err == nil {
		err = figure.Into(*into, "make sim", render(all))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "charts:", err)
		os.Exit(1)
	}
}
