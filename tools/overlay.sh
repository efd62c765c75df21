#!/usr/bin/env bash
# Prints the overlay with which go build links rigmesh: docs/adr/0016-a-smaller-file.md.
#
# text/template calls methods by names that only a running program knows. Where the linker sees
# that, it keeps every exported method of every type. Templates come with the libraries for the
# command line and for containerd; none that rigmesh executes calls a method, so here they cannot.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$(go env GOROOT)/src/text/template/exec.go
dir=$PWD/bin/overlay
call='ptr.MethodByName(fieldName)' instead='(reflect.Value{})'

if [[ $(grep -cF "$call" "$source") -ne 1 ]]; then
  echo "overlay: $source does not look up methods as it used to: see docs/adr/0016-a-smaller-file.md" >&2
  exit 1
fi
mkdir -p "$dir" # a name in .go would make it a package of ./...
sed "s/${call//./\\.}/$instead/" "$source" >"$dir/exec"
printf '{"Replace": {"%s": "%s"}}\n' "$source" "$dir/exec" >"$dir/overlay.json"
echo "$dir/overlay.json"
