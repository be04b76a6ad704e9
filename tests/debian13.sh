#!/usr/bin/env bash
# Builds the project on Debian 13, the container image's base, and runs there its unit tests and those of the sink and the
# consumer, against a Kafka and a PostgreSQL outside. The root, made by debootstrap under build/debian13, is kept for the
# next time; the sources are mounted into it, read-only.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=$project/build/debian13/root
suite=trixie

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

make_root() {
  [[ -f $root/complete ]] && return
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase "$suite" "$root" "$("$project/tests/debian_mirror.sh")" >"$root.log" 2>&1 ||
    { tail -n 15 "$root.log" >&2 && die "debootstrap failed"; }
  touch "$root/complete"
}

# Called in a mount namespace of its own: what is mounted here is gone with it, however it ends.
inside() {
  local stacks=$project/build/test-stack # a test damages the broker's file
  mkdir -p "$root/lockstep" "$root/build" "$root$stacks"
  mount --bind "$project" "$root/lockstep"
  mount -o remount,ro,bind "$root/lockstep"
  mount --bind "$stacks" "$root$stacks"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mapfile -t variables <"$1"
  # shellcheck disable=SC2016  # the shell in the root expands it
  exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "${variables[@]#export }" \
    chroot "$root" bash -euc '
      cd /lockstep
      tools/packages.sh build tests
      cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DLOCKSTEP_TESTS=ON >/dev/null
      cmake --build /build
      ctest --test-dir /build -R "^(unit[.].*|integration[.](sink|consumer|pipeline))\$" --output-on-failure'
}

if [[ ${1:-} == --inside ]]; then
  inside "$2"
fi
((EUID == 0)) || die "debootstrap and chroot need root: sudo tests/run.sh debian13"
"$project/tools/packages.sh" trixie
make_root
stack=debian13-$$
trap '"$project/tests/stack.sh" down "$stack"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
addresses=$("$project/tests/stack.sh" up "$stack" target kafka)
unshare --mount --propagation private "$0" --inside "$addresses"
