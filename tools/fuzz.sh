#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, and prints a line for each: how many inputs it tried,
# and how many of those went where none went before. What fails stands in testdata/fuzz of its package then, where
# every `go test` runs it again.
#
#   tools/fuzz.sh [TIME [TARGETS]]   60s, and those whose "folder name" matches the expression: all
#
# Inputs are made shorter for a second at most: longer, and most of the time goes there.
# FUZZ_WORKERS is how many processes try inputs at once, one for each core without it.
set -euo pipefail
time=${1:-60s}
wanted=${2:-.}
workers=${FUZZ_WORKERS:-$(nproc)}
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()
targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | LC_ALL=C sort |
  sed -E 's,^(.*)/[^/]*:func (.*)$,\1 \2,' | grep -E "$wanted")
while read -r folder target; do
  if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s -parallel "$workers" "$folder" </dev/null >"$log" 2>&1; then
    tail -n 3 "$log" | sed -nE "s,^fuzz: elapsed: ([^,]*).* execs: ([0-9]+).*new interesting: ([0-9]+) \(total: ([0-9]+)\).*,$folder $target: \2 inputs in \1\, \3 new\, \4 kept,p" | tail -n 1
  else
    cat "$log"
    failed+=("$folder $target")
  fi
done <<<"$targets"

if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'found something: %s\n' "${failed[@]}" >&2
  exit 1
fi
