// Command zst compresses a file as well as zstd can, for embedding.
package main

import (
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: zst FROM TO")
		os.Exit(2)
	}
	if err := compress(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "zst: error:", err)
		os.Exit(1)
	}
}

// compress writes to whole or not at all: make takes a file that is there for done.
func compress(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	if err := os.WriteFile(to+".tmp", w.EncodeAll(raw, nil), 0o644); err != nil {
		return err
	}
	return os.Rename(to+".tmp", to)
}
