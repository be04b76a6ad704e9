#!/usr/bin/env bash
# Builds the project and runs its unit tests on Debian 13, the container image's base, in a root made by debootstrap
# under build/debian13. The root is kept for the next time; the sources are mounted into it, read-only.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=$project/build/debian13/root
suite=trixie

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The mirror that this machine's own apt uses.
mirror() {
  local found=${DEBIAN_MIRROR:-}
  if [[ -z $found ]]; then
    # shellcheck disable=SC2016  # the variables are apt's
    found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
  fi
  [[ -n $found ]] || die "apt knows no Debian mirror here: name one with DEBIAN_MIRROR=..."
  printf '%s\n' "$found"
}

make_root() {
  [[ -f $root/complete ]] && return
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase "$suite" "$root" "$(mirror)" >"$root.log" 2>&1 ||
    { tail -n 15 "$root.log" >&2 && die "debootstrap failed"; }
  touch "$root/complete"
}

# Called in a mount namespace of its own: what is mounted here is gone with it, however it ends.
inside() {
  mkdir -p "$root/lockstep" "$root/build"
  mount --bind "$project" "$root/lockstep"
  mount -o remount,ro,bind "$root/lockstep"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  # shellcheck disable=SC2016  # the shell in the root expands it
  exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    chroot "$root" bash -euc '
      cd /lockstep
      tools/packages.sh build tests
      cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DLOCKSTEP_TESTS=ON >/dev/null
      cmake --build /build
      ctest --test-dir /build -L "^unit\$" -E "^sanitized" --output-on-failure'
}

if [[ ${1:-} == --inside ]]; then
  inside
fi
((EUID == 0)) || die "debootstrap and chroot need root: sudo tests/run.sh debian13"
"$project/tools/packages.sh" trixie
make_root
exec unshare --mount --propagation private "$0" --inside
