#!/usr/bin/env bash
# Prints a checksum of every generated Go file under a folder, to compare two such folders.
set -euo pipefail
cd "$1"
find . \( -name '*.pb.go' -o -name '*.connect.go' \) -type f | LC_ALL=C sort | xargs -r sha256sum
