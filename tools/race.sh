#!/usr/bin/env bash
# Runs every test that needs no other process some times under the race detector, and counts
# executions, races and failures. A test that fails once is a bug, whatever it does the next time.
#
#   tools/race.sh ROUNDS [PACKAGE…]
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:?how many rounds}
shift
packages=("$@")
if [[ ${#packages[@]} -eq 0 ]]; then
	# Not those that start containers and nodes, which are other programs; not whole networks, which
	# take hours under the detector: make sim and make test run them without it.
	mapfile -t packages < <(go list ./... | grep -v -e /runtime/containerd -e /testnet/)
	packages+=(./testnet/golden ./testnet/history ./testnet/lab ./testnet/model ./testnet/sim)
fi
log=bin/race.log
mkdir -p bin
status=0
CGO_ENABLED=1 go test -race -p 1 -count="$rounds" -timeout 4h -v "${packages[@]}" >"$log" 2>&1 || status=$?

count() { grep -c -E "$1" "$log" || true; }
grep -E '^(FAIL|panic:)|^ *--- FAIL|WARNING: DATA RACE' "$log" | sort | uniq -c || true
echo "$rounds rounds: $(count '^ *--- (PASS|FAIL)') executions, $(count 'WARNING: DATA RACE') races, $(count '^ *--- FAIL') failures; all of it is in $log"
exit "$status"
