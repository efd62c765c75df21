package ociregistry

import (
	"testing"
	"time"
)

// Hurry makes retries come at once.
func Hurry(t *testing.T) {
	was := delays
	delays = make([]time.Duration, len(was))
	t.Cleanup(func() { delays = was })
}

// Attempts is how often in a row something is tried that brings nothing.
func Attempts() int { return len(delays) + 1 }

// StallAfter sets how long a registry may be silent in the middle of an answer.
func StallAfter(t *testing.T, d time.Duration) {
	was := stallTimeout
	stallTimeout = d
	t.Cleanup(func() { stallTimeout = was })
}

// Name takes a reference apart and writes it whole, with the host that is really asked.
func Name(text string) (whole, host string, insecure bool, err error) {
	r, err := parse(text)
	if err != nil {
		return "", "", false, err
	}
	return r.String(), r.repo.RegistryStr(), r.repo.Scheme() == "http", nil
}
