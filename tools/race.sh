#!/usr/bin/env bash
# Runs every test that needs no other process some times under the race detector, and counts
# executions, races and failures, package by package. A test that fails once is a bug, whatever it
# does the next time.
#
#   [RACE_SLOW=ROUNDS] [RACE_LOG=FILE] tools/race.sh ROUNDS [-FLAG=VALUE of go test…] [PACKAGE…]
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:?how many rounds}
shift
flags=()
while [[ ${1:-} == -* ]]; do
	flags+=("$1")
	shift
done
packages=("$@")
if [[ ${#packages[@]} -eq 0 ]]; then
	# Not those that start containers and nodes, which are other programs; not whole networks, which
	# take hours under the detector: make sim and make test run them without it.
	mapfile -t packages < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep -v -e /runtime/containerd -e /testnet/)
	packages+=(./testnet/golden ./testnet/history ./testnet/lab ./testnet/model ./testnet/sim)
fi
log=${RACE_LOG:-bin/race.log}
mkdir -p bin

# What takes long under the detector, and why a tenth of the rounds has to do: searches of one goroutine
# through everything, in which no two can race, and sessions of a whole day, whose hours are alike.
slow='NoOrderOfEvents|EveryRuleIsNeeded|EveryFlipped|EverySchedule|EveryHistory|NoHistory|NoDeviceEver|MoneyNever'
slow+='|ADayIsBilled|AWorkerThatIsBooted|SilenceBeyondTheGrace'
slow_rounds=${RACE_SLOW:-$(((rounds + 9) / 10))}

go_test() { CGO_ENABLED=1 go test -race -p 1 -timeout 4h -v "$@" "${flags[@]}" "${packages[@]}" >>"$log" 2>&1 || status=1; }
table() {
	awk '/^ *--- (PASS|FAIL)/ { n++ } /^ *--- FAIL/ { failed++ } /WARNING: DATA RACE/ { races++ }
		/^(ok|FAIL)[ \t]+[a-z]/ { if (n) printf "%7d executions %3d races %3d failures  %s (%s)\n", n, races, failed, $2, $3; n = races = failed = 0 }' "$1"
}
count() { grep -c -E "$1" "$log" || true; }

status=0
: >"$log"
echo "race: $rounds rounds, and $slow_rounds of $slow"
[[ $rounds -eq 0 ]] || go_test -count="$rounds" -skip="$slow"
[[ $slow_rounds -eq 0 ]] || go_test -count="$slow_rounds" -run="$slow"
table "$log"
grep -E '^(panic:)|^ *--- FAIL|WARNING: DATA RACE' "$log" | sort | uniq -c || true
echo "race: $(count '^ *--- (PASS|FAIL)') executions, $(count 'WARNING: DATA RACE') races, $(count '^ *--- FAIL') failures; all of it is in $log"
exit "$status"
