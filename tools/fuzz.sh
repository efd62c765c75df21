#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, and prints a line for each: how many inputs it tried,
# and how many of those went where none went before. What fails stands in testdata/fuzz of its package then, where
# every `go test` runs it again.
#
#   tools/fuzz.sh [TIME [TARGETS]]   60s, and those whose "folder name" matches the expression: all
#   tools/fuzz.sh keep [TARGETS]     copies to testdata/fuzz, smallest first, what was found so far and reaches a line
#                                    of its package that the seeds, and what is there, do not reach
#
# Inputs are made shorter for a second at most: longer, and most of the time goes there.
# FUZZ_WORKERS is how many processes try inputs at once, one for each core without it.
set -euo pipefail
time=${1:-60s}
wanted=${2:-.}
workers=${FUZZ_WORKERS:-$(nproc)}
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()

try() { # FOLDER TARGET
  if go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 1s -parallel "$workers" "$1" </dev/null >"$work/log" 2>&1; then
    tail -n 3 "$work/log" | sed -nE "s,^fuzz: elapsed: ([^,]*).* execs: ([0-9]+).*new interesting: ([0-9]+) \(total: ([0-9]+)\).*,$1 $2: \2 inputs in \1\, \3 new\, \4 kept,p" | tail -n 1
  else
    cat "$work/log"
    failed+=("$1 $2")
  fi
}

reached() { # FOLDER TEST: the lines that a test goes through
  (cd "$1" && "$work/test" -test.run "$2" -test.coverprofile "$work/profile" >"$work/log")
  awk 'NR > 1 && $NF > 0 { print $1 }' "$work/profile" | LC_ALL=C sort -u
}

keep() { # FOLDER TARGET
  local found="$(go env GOCACHE)/fuzz/$(go list "$1")/$2" kept="$1/testdata/fuzz/$2" count=0
  [[ -d $found ]] || return 0
  go test -c -cover -o "$work/test" "$1"
  reached "$1" "^$2\$" >"$work/have"
  mkdir -p "$kept"
  for input in $(find "$found" -type f -size -9 -printf '%s %f\n' | sort -n | cut -d ' ' -f 2); do # at most 4 KiB
    [[ ! -e $kept/$input ]] || continue
    cp "$found/$input" "$kept/"
    reached "$1" "^$2\$/^$input\$" >"$work/new"
    if [[ -n $(LC_ALL=C comm -13 "$work/have" "$work/new") ]]; then
      LC_ALL=C sort -u -o "$work/have" "$work/have" "$work/new"
      count=$((count + 1))
    else
      rm "$kept/$input"
    fi
  done
  find "$1/testdata" -depth -type d -empty -delete
  echo "$1 $2: $count kept of $(find "$found" -type f | wc -l)"
}

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | LC_ALL=C sort |
  sed -E 's,^(.*)/[^/]*:func (.*)$,\1 \2,' | grep -E "$wanted")
while read -r folder target; do
  if [[ $time == keep ]]; then keep "$folder" "$target"; else try "$folder" "$target"; fi
done <<<"$targets"

if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'found something: %s\n' "${failed[@]}" >&2
  exit 1
fi
