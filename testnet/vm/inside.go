//go:build linux

package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// testsInside runs tests of the runtime in the machine, and counts what they say.
func (s *site) testsInside(ctx context.Context, pattern string, flags ...string) (string, error) {
	// A folder of its own under a short path: the tests make sockets. What is tried there must lie
	// on a file system that could be written, or that alone would deny some attempts.
	out, code, err := s.guest.try(ctx, "cd /tmp && cp /opt/rigmesh/probe . && RIGMESH_PROBE=/tmp/probe /opt/rigmesh/containerd.test -test.v -test.timeout 2h -test.run '"+pattern+"' "+strings.Join(flags, " ")+" 2>&1")
	if err != nil {
		return "", err
	}
	passed, failed := len(passedTest.FindAllString(out, -1)), len(failedTest.FindAllString(out, -1))
	if code != 0 || passed == 0 {
		return "", fmt.Errorf("%d tests failed, %d passed:\n%s", failed, passed, out)
	}
	return fmt.Sprintf("%d tests passed, %d skipped", passed, len(skippedTest.FindAllString(out, -1))) + attempts(out), nil
}

var (
	passedTest  = regexp.MustCompile(`(?m)^--- PASS: `)
	failedTest  = regexp.MustCompile(`(?m)^--- FAIL: `)
	skippedTest = regexp.MustCompile(`(?m)^--- SKIP: `)
	attempt     = regexp.MustCompile(`attempt (\S+) unprotected=(\S+) protected=(\S+)`)
)

// attempts counts the attempts to escape that a test's output lists.
func attempts(out string) string {
	var tried, real int
	var absent []string
	for _, a := range attempt.FindAllStringSubmatch(out, -1) {
		tried++
		switch {
		case a[2] == "absent":
			absent = append(absent, a[1])
		case a[2] == "ok" && a[3] == "denied":
			real++
		}
	}
	if tried == 0 {
		return ""
	}
	return fmt.Sprintf("; %d attempts, %d succeed unprotected and are denied protected, nothing to attack for %d (%s)", tried, real, len(absent), strings.Join(absent, " "))
}

func limitsInside(ctx context.Context, s *site) (string, error) {
	return s.testsInside(ctx, "^(TestTaskIsContained|TestLackOfMemoryIsToldFromAKill|TestProcessesAreLimited|TestATasksDiskIsThrottled|TestATaskFillsItsOwnDiskAndNoMore|TestMountsBelongToTheTasksUser)$")
}

func escapesInside(ctx context.Context, s *site) (string, error) {
	return s.testsInside(ctx, "^TestNoAttemptEscapes$", "-attempts '"+s.attempts+"'")
}
