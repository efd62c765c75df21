//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// repeat does what it reads, a line at a time, for a person: "check PATTERN" makes checks
// once more, and everything else runs in the machine. It says how many checks failed.
func (s *site) repeat(ctx context.Context, in io.Reader) (failed int) {
	lines := make(chan string)
	go func() { // nothing ends a read of a terminal but what comes from it: this may outlive us
		defer close(lines)
		for read := bufio.NewScanner(in); read.Scan(); {
			lines <- read.Text()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return failed
		case line, more := <-lines:
			if !more {
				return failed
			}
			failed += s.obey(ctx, line)
		}
	}
}

// obey does what one line says.
func (s *site) obey(ctx context.Context, line string) (failed int) {
	if pattern, is := strings.CutPrefix(line, "check "); is {
		only, err := regexp.Compile(pattern)
		if err != nil {
			fmt.Println(err)
			return 0
		}
		return s.checks(ctx, func(c check) bool { return only.MatchString(c.name) })
	}
	out, code, err := s.guest.try(ctx, line)
	if err != nil {
		fmt.Println(err)
		return 0
	}
	fmt.Printf("%s\n[%d]\n", out, code)
	return 0
}
