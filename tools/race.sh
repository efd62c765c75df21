#!/usr/bin/env bash
# Runs every test some rounds under the race detector, whole nodes that are processes of their own
# included, and counts executions, races and failures, package by package. A test that fails once is
# a bug, whatever it does the next time.
#
#   [RACE_SLOW=ROUNDS] [RACE_JOBS=N] tools/race.sh ROUNDS [PACKAGE…]
#
# Rounds that are interrupted count as far as they came. bin/race holds what each execution printed.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:?how many rounds}
shift
jobs=${RACE_JOBS:-2}
tags=${TAGS:?run it by make race}
dir=$PWD/bin/race
# A program under the detector rests a second before it ends, unless told otherwise.
export CGO_ENABLED=1 GORACE="log_path=$dir/report atexit_sleep_ms=20"

# What takes long under the detector, and why a tenth of the rounds has to do: searches of one goroutine
# through everything, in which no two can race, and sessions of a whole day, whose hours are alike.
slow='NoOrderOfEvents|EveryRuleIsNeeded|EveryFlipped|EverySchedule|EveryHistory|NoHistory|NoDeviceEver|MoneyNever'
slow+='|ADayIsBilled|AWorkerThatIsBooted|SilenceBeyondTheGrace'
slow_rounds=${RACE_SLOW:-$(((rounds + 9) / 10))}

# Networks of hundreds of nodes, and what emulates a machine, have commands of their own.
packages() {
	go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' "${@:-./...}" | grep -v -e /testnet/crowd -e /testnet/vm
}

# execute ROUND NAME FOLDER runs the tests of one package once.
execute() {
	local log=$dir/$2.$1.log skip=()
	[[ $1 -le $slow_rounds ]] || skip=(-test.skip="$slow")
	cd "$3"
	"$dir/$2/${3##*/}.test" -test.v -test.timeout 2h "${skip[@]}" >"$log" 2>&1 || { echo "race: round $1 of $2 failed: $log"; return 1; }
}
export -f execute
export dir slow slow_rounds

# finish prints what the logs hold, and leaves the programs as others expect them, without the detector.
finish() {
	awk '{ name = FILENAME; sub(/.*\//, "", name); sub(/\.[0-9]+\.log$/, "", name) }
		/^ *--- (PASS|FAIL)/ { ran[name]++; all++ } /^ *--- FAIL/ { failed[name]++; bad++ } /^(PASS|FAIL)$/ { rounds[name]++ }
		END { for (n in ran) printf "%4d rounds %7d executions %3d failures  %s\n", rounds[n], ran[n], failed[n], n
			printf "race: %d executions, %d failures\n", all, bad }' "$dir"/*.log | sort -k7
	grep -hE '^(panic:)|^ *--- FAIL' "$dir"/*.log | sed 's/ (.*//' | sort | uniq -c || true
	echo "race: $(cat "$dir"/report.* 2>/dev/null | grep -c 'WARNING: DATA RACE' || true) races; all of it is in $dir"
	CGO_ENABLED=0 make --no-print-directory --silent build failpoints
}

rm -rf "$dir"
mkdir -p "$dir"
overlay=$(tools/overlay.sh)
go build -race -overlay "$overlay" -o bin/rigmesh ./cmd/rigmesh
go build -race -overlay "$overlay" -tags "failpoints,$tags" -o bin/rigmesh-failpoints ./cmd/rigmesh
while read -r path folder; do
	name=${path#*/*/*/}
	name=${name//\//-}
	go test -race -c -o "$dir/$name/${path##*/}.test" "$path"
	echo "$name $folder"
done < <(packages "$@") >"$dir/packages"

trap finish EXIT
echo "race: $rounds rounds, and $slow_rounds of $slow"
for round in $(seq "$rounds"); do
	sed "s/^/$round /" "$dir/packages"
done | xargs -P "$jobs" -L 1 bash -c 'execute "$@"' execute
