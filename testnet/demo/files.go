//go:build linux

package main

import (
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// makeInput fills dir with the texts of a source tree.
func makeInput(dir, tree string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var texts []string
	for _, pattern := range []string{"*.md", "LICENSE", "proto/*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil {
			return err
		}
		texts = append(texts, found...)
	}
	if len(texts) == 0 {
		return fmt.Errorf("no texts in %s", tree)
	}
	for _, text := range texts {
		if err := copyFile(filepath.Join(dir, filepath.Base(text)), text); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies one file.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// checkResults tells how many files the job packed, after unpacking each and
// comparing it, and its line in SHA256SUMS, with what the job was given.
func checkResults(given, results string) (int, error) {
	entries, err := os.ReadDir(given)
	if err != nil {
		return 0, err
	}
	sums, err := os.ReadFile(filepath.Join(results, "SHA256SUMS"))
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		want, err := os.ReadFile(filepath.Join(given, entry.Name()))
		if err != nil {
			return 0, err
		}
		got, err := unpack(filepath.Join(results, entry.Name()+".gz"))
		if err != nil {
			return 0, err
		}
		if string(got) != string(want) {
			return 0, fmt.Errorf("%s came back different", entry.Name())
		}
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(want), entry.Name()); !strings.Contains(string(sums), line) {
			return 0, fmt.Errorf("SHA256SUMS lacks %q", line)
		}
	}
	return len(entries), nil
}

func unpack(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(packed)
}
