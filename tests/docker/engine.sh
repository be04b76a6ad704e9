#!/usr/bin/env bash
# A Docker engine of the tests' own, where there may be none.
#
# It lives in namespaces of its own (processes, mounts, network), with a /run of its own. So its bridges, firewall
# rules, mounts and processes are never the machine's and are gone with it, however it ends; inside, its socket and all
# ports are the usual ones. Its way out is slirp4netns, which needs no rule on the machine either.
set -euo pipefail

usage() {
  cat <<END
usage: tests/docker/engine.sh up                  start it, and wait until it answers
       tests/docker/engine.sh exec COMMAND...     run a command where its socket and its ports are
       tests/docker/engine.sh base SUITE...       have the image debian:SUITE-slim, made by debootstrap
       tests/docker/engine.sh compose-plugin      have \`docker compose\` and buildx, from Debian 13's packages
       tests/docker/engine.sh no-compose-plugin   have \`docker-compose\` only
       tests/docker/engine.sh down                end it, with all containers, networks and volumes
       tests/docker/engine.sh run COMMAND...      up, exec, down; ends with COMMAND's status
       tests/docker/engine.sh fresh               down, and forget all images

Images stay in build/docker/data until \`fresh\`. \`down\` may be called at any time. What was started by \`exec\` ends
with \`down\` too, and what listens there on a port is not seen from the machine: use \`exec\` for both sides.
END
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../.." && pwd)
folder=$project/build/docker
RUN_DIR=$folder/run
# shellcheck disable=SC2034  # process.sh uses it
LOG_DIR=$folder/log
# shellcheck source=tools/stack/process.sh
. "$project/tools/stack/process.sh"

# Two checkouts may have an engine each.
cgroup=lockstep-$(cksum <<<"$project" | cut -d ' ' -f 1)

# --- inside -----------------------------------------------------------------------------------------------------------

# The first process of the engine's namespaces. All others end with it.
first_process() {
  trap 'exit 143' TERM
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/lock
  printf '{}\n' >/run/daemon.json # and not the machine's /etc/docker/daemon.json
  name_server
  ip netns add engine
  slirp4netns --configure --mtu=65520 --disable-host-loopback --netns-type=path /run/netns/engine tap0 &
  nsenter --net=/run/netns/engine dockerd --config-file /run/daemon.json --host unix:///run/docker.sock \
    --data-root "$folder/data" --storage-driver "$(storage_driver)" \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$cgroup" --log-level warn &
  dockerd=$!
  trap end_dockerd TERM
  wait "$dockerd"
}

# In order, so that the data is sound next time; what does not come to an end is killed with this process.
end_dockerd() {
  kill "$dockerd" 2>/dev/null || true
  wait "$dockerd" || true
  exit 0
}

# A resolver on the machine's loopback is out of reach: slirp4netns has one that asks it.
name_server() {
  local file
  file=$(readlink -m /etc/resolv.conf)
  printf 'nameserver 10.0.2.3\n' >/run/resolv.conf
  if [[ $file == /run/* ]]; then
    mkdir -p "${file%/*}"
    cp /run/resolv.conf "$file"
  else
    mount --bind /run/resolv.conf "$file"
  fi
}

# overlay2 needs a file system that can be below an overlay, which an overlay (a container's root) is not.
storage_driver() {
  local try=$folder/data/overlay-try
  mkdir -p "$try"/{lower,upper,work,merged}
  if mount -t overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" overlay "$try/merged" \
    2>/dev/null; then
    umount "$try/merged"
    printf 'overlay2\n'
  else
    printf 'the file system of %s can be no part of an overlay: storage driver vfs, which is slow\n' "$folder" >&2
    printf 'vfs\n'
  fi
  rm -rf "$try"
}

# --- outside ----------------------------------------------------------------------------------------------------------

# enter COMMAND...: in the engine's namespaces, and in this folder. Whoever is there already, stays.
enter() {
  local outer first
  if [[ ${LOCKSTEP_IN_ENGINE:-} == "$project" ]]; then
    "$@"
    return
  fi
  outer=$(pid_of engine) || die "the engine does not run: tests/docker/engine.sh up"
  first=$(<"/proc/$outer/task/$outer/children") # unshare has one child
  nsenter --target "${first% }" --mount --pid -- nsenter --net=/run/netns/engine -- \
    env -C "$PWD" -u DOCKER_HOST -u DOCKER_CONTEXT "DOCKER_CONFIG=$folder/config" "LOCKSTEP_IN_ENGINE=$project" "$@"
}

answers() { enter docker version; }

up() {
  if running engine; then return; fi
  mkdir -p "$folder/data" "$folder/config"
  remove_cgroups # of an engine that was killed
  launch engine unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    "$here/engine.sh" --first-process
  wait_ready engine 60 answers
  remove_contents # of an engine that was killed
}

remove_contents() {
  # Again as long as there are some: one that somebody else is removing is an error, and not gone yet.
  # shellcheck disable=SC2016  # the inner shell expands it
  enter timeout 60 sh -euc '
    while containers=$(docker ps -aq) && [ -n "$containers" ]; do docker rm -f -v $containers || sleep 0.2; done
    docker network prune -f
    docker volume prune -f' >/dev/null 2>&1
}

down() {
  if running engine; then
    remove_contents || printf 'error: not all containers could be removed; they are killed\n' >&2
    enter kill 1 || true
  fi
  await_stop engine 30
  remove_cgroups
}

# What ran in them has just ended or is ending: not at once empty.
remove_cgroups() {
  local deadline=$((SECONDS + 10))
  until [[ -z $(cgroups) ]]; do
    cgroups | xargs rmdir 2>/dev/null || true
    ((SECONDS < deadline)) || die "these control groups of the engine can't be removed: $(cgroups | tr '\n' ' ')"
    sleep 0.1
  done
}

cgroups() { find /sys/fs/cgroup -depth -type d \( -path "*/$cgroup" -o -path "*/$cgroup/*" \) 2>/dev/null || true; }

run() {
  local status=0
  if running engine; then die "the engine runs already: use \`exec\`, or end it with \`down\` first"; fi
  trap down EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  up
  enter "$@" || status=$?
  exit "$status"
}

# --- images -----------------------------------------------------------------------------------------------------------

base() { # SUITE
  local image=debian:$1-slim
  if enter docker image inspect "$image" >/dev/null 2>&1; then return; fi
  say "making the image $image"
  # Inside: whatever debootstrap leaves mounted when it is stopped ends with the engine.
  enter "$here/engine.sh" --make-base "$1" "$image" >"$LOG_DIR/base-$1.log" 2>&1 ||
    { tail -n 15 "$LOG_DIR/base-$1.log" >&2 && die "$image could not be made"; }
}

make_base() { # SUITE IMAGE
  local root=$folder/base-$1
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase "$1" "$root" "$("$project/tests/debian_mirror.sh")"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  # How this machine's apt reaches a mirror, and whom the machine trusts, are no secret to its containers. Certificates
  # come into force there with the package ca-certificates.
  apt-config dump | grep -E '^Acquire::(https?|Check-|Retries)' >"$root/etc/apt/apt.conf.d/90machine" || true
  mkdir -p "$root/usr/local/share/ca-certificates"
  local certificate file
  for certificate in /etc/ssl/certs/*.pem; do
    file=$(readlink -f "$certificate")
    [[ $file == /usr/share/ca-certificates/* ]] ||
      cp "$file" "$root/usr/local/share/ca-certificates/$(basename "$certificate" .pem).crt"
  done
  tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$2"
  rm -rf "$root"
}

compose_plugin() {
  local plugins=$folder/config/cli-plugins
  if [[ -x $plugins/docker-compose && -x $plugins/docker-buildx ]]; then return; fi
  base trixie
  say "getting docker-compose and docker-buildx from Debian 13"
  mkdir -p "$plugins"
  # shellcheck disable=SC2016  # the container's shell expands it
  enter docker run --rm --network host -v "$plugins:/plugins" debian:trixie-slim bash -euc '
    cd /tmp
    apt-get update -qq
    apt-get download -qq docker-compose docker-buildx
    for package in *.deb; do dpkg-deb -x "$package" .; done
    cp usr/libexec/docker/cli-plugins/docker-{compose,buildx} /plugins/' >"$LOG_DIR/compose-plugin.log" 2>&1 ||
    { tail -n 15 "$LOG_DIR/compose-plugin.log" >&2 && die "the plugins could not be had"; }
}

no_compose_plugin() { rm -rf "$folder/config/cli-plugins"; }

# ----------------------------------------------------------------------------------------------------------------------

command=${1:-}
shift || true
case $command in
  up | exec | base | compose-plugin | no-compose-plugin | down | run | fresh)
    ((EUID == 0)) || die "a Docker engine needs root: sudo tests/docker/engine.sh $command"
    mkdir -p "$folder" "$RUN_DIR" "$LOG_DIR"
    "$project/tools/packages.sh" docker trixie
    ;;
esac
case $command in
  up) up ;;
  exec) enter "$@" ;;
  base) for suite in "$@"; do base "$suite"; done ;;
  compose-plugin) compose_plugin ;;
  no-compose-plugin) no_compose_plugin ;;
  down) down ;;
  run) run "$@" ;;
  fresh)
    down
    rm -rf "$folder"
    ;;
  --first-process) first_process ;;
  --make-base) make_base "$@" ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
