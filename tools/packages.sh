#!/usr/bin/env bash
# Installs the few Debian packages that the build and the tests need, when run
# as root; says which are missing otherwise. Runs apt-get only when one is missing.
#
#   tools/packages.sh build    to build bin/rigmesh
#   tools/packages.sh test     to run every test and the demo too
#   tools/packages.sh nat      to try every kind of NAT: make nat
#   tools/packages.sh vm       to try rigmesh on an emulated machine: make vm
set -euo pipefail

# runc links libseccomp, found through pkg-config, and is linked by gcc. Programs are carried compressed.
build=(gcc libc6-dev libseccomp-dev make pkg-config zstd)
# The images that tests and the demo run are made from busybox; one test pulls from a registry,
# one runs tasks in the containerd that Debian has. Each task has an ext4 file system of its own.
# Networks behind NAT are made of namespaces with ip and nft. A second verifier of receipts is in Python.
test=(busybox-static containerd docker-registry e2fsprogs iproute2 nftables python3)
# What maps ports on home routers.
nat=(miniupnpd-nftables)
# The emulated machine: its emulator, and what makes its Debian.
vm=(busybox-static e2fsprogs mmdebstrap qemu-system-x86)

wanted=("${build[@]}")
# Without root there are no containers, so nothing needs what goes into them.
case ${1:-build} in
  test) [[ $(id -u) -ne 0 ]] || wanted+=("${test[@]}") ;;
  nat) [[ $(id -u) -ne 0 ]] || wanted+=("${test[@]}" "${nat[@]}") ;;
  vm) wanted+=("${vm[@]}") ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "packages: not a Debian system; this needs what these packages hold: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) -ne 0 ]]; then
  echo "packages: missing: ${missing[*]}" >&2
  echo "packages: install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "packages: installing ${missing[*]}" >&2
# Debian would start a registry for everybody at port 5000, and a containerd. The tests
# start their own.
for service in docker-registry containerd; do
  if [[ " ${missing[*]} " == *" $service "* && -d /run/systemd/system ]]; then
    systemctl mask "$service.service" >&2
  fi
done
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
