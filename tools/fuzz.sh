#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the time given.
set -euo pipefail
time=${1:-60s}
cd "$(dirname "$0")/.."

grep -rEl --include='*_test.go' '^func Fuzz[A-Z0-9_]' . | LC_ALL=C sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | while read -r _ target; do
    echo "==> $(dirname "$file") $target for $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
  done
done
