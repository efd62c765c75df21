#!/bin/bash
# Build the version that testnet/e2e/PREVIOUS names as bin/rigmesh-previous, unless it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(cat testnet/e2e/PREVIOUS)
tree=bin/_previous
if test -x bin/rigmesh-previous && test "$(cat bin/rigmesh-previous.commit 2>/dev/null)" = "$commit"; then
	exit 0
fi
rm -rf "$tree" && mkdir -p "$tree"
git archive "$commit" | tar -x -C "$tree"
make -C "$tree" --no-print-directory build VERSION="previous-${commit:0:12}"
mv "$tree/bin/rigmesh" bin/rigmesh-previous
echo "$commit" >bin/rigmesh-previous.commit
rm -rf "$tree"
