#!/bin/sh
# Checks rigmesh on this machine's NVIDIA card, as root, in less than ten minutes.
# It needs the driver and nothing else, fetches nothing, and changes no setting of
# the card. Prints a table; gpu-check.json has the same.
#
#   tar -xJf rigmesh-gpu.tar.xz && sudo rigmesh-gpu/run.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" -ne 0 ]; then
  echo "run.sh: error: a worker runs containers and that needs root: run this with sudo" >&2
  exit 1
fi
exec "$here/gpu" -rigmesh "$here/rigmesh" -load "$here/load" -helper "$here/rigmesh-nvml" -image "$here/load.tar" -json gpu-check.json "$@"
