#!/bin/bash
# Build the version that testnet/e2e/PREVIOUS names as bin/rigmesh-previous, unless it is there.
# "tools/previous.sh golden" writes that version's messages to testnet/golden instead: after
# PREVIOUS was changed. "tools/previous.sh optional" goes without where the history is cut off.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(cat testnet/e2e/PREVIOUS)
tree=bin/_previous
if test "${1:-}" != golden && test -x bin/rigmesh-previous && test "$(cat bin/rigmesh-previous.commit 2>/dev/null)" = "$commit"; then
	exit 0
fi
git cat-file -e "$commit^{commit}" 2>/dev/null || {
	echo "the history here does not reach back to $commit, which testnet/e2e/PREVIOUS names: git fetch --unshallow" >&2
	test "${1:-}" = optional && exit 0
	exit 1
}
rm -rf "$tree" && mkdir -p "$tree"
git archive "$commit" | tar -x -C "$tree"
if test "${1:-}" = golden; then
	mkdir -p "$tree/testnet/golden" && cp -r testnet/golden/. "$tree/testnet/golden"
	(cd "$tree" && go test -count=1 ./testnet/golden -update)
	cp "$tree"/testnet/golden/testdata/messages.json testnet/golden/testdata/
	rm -rf "$tree"
	exit 0
fi
make -C "$tree" --no-print-directory build VERSION="previous-${commit:0:12}"
mv "$tree/bin/rigmesh" bin/rigmesh-previous
echo "$commit" >bin/rigmesh-previous.commit
rm -rf "$tree"
