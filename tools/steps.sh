#!/usr/bin/env bash
# Runs make targets one after the other and prints how long each took. Stops at
# the first that fails and names it.
set -euo pipefail

took=()
for target in "$@"; do
  printf '==> make %s\n' "$target"
  started=$SECONDS
  if ! "${MAKE:-make}" --no-print-directory "$target"; then
    printf '==> make %s failed after %d s\n' "$target" $((SECONDS - started)) >&2
    exit 1
  fi
  took+=("$(printf '%6d s  %s' $((SECONDS - started)) "$target")")
done
printf '%s\n' "${took[@]}"
printf '%6d s  in all\n' "$SECONDS"
