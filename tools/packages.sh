#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that are missing, and only those.
set -euo pipefail

usage() {
  cat <<END
usage: tools/packages.sh GROUP...

  build   compilers and libraries to build lockstepd
  tests   what its tests need besides
  lint    what tools/lint.sh and the build with sanitizers need
  trixie  what makes the Debian 13 root of tests/run.sh debian13
  docker  the Docker engine of tests/run.sh docker
  stack   what the local stack runs on: PostgreSQL, Java, Maven

As root, or with a sudo that asks for no password, it installs; else it prints the line to copy and exits with 1.
END
}

build_packages=(g++ cmake ninja-build pkg-config librdkafka-dev libpqxx-dev libsimdjson-dev libyaml-cpp-dev
  libspdlog-dev nlohmann-json3-dev libcli11-dev libsystemd-dev)
tests_packages=(catch2)
lint_packages=(ccache clang clang-format clang-tidy shellcheck)
trixie_packages=(debootstrap debian-archive-keyring)
docker_packages=(slirp4netns iproute2)
stack_packages=(postgresql maven curl ca-certificates)

usage_error() {
  usage >&2
  exit 2
}

installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Debian's default Java is new enough for Kafka (17), that of older Ubuntus is not: take the newest that there is.
java_package() {
  local version
  for version in 25 21; do
    if apt-cache policy "openjdk-$version-jre-headless" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
      printf 'openjdk-%s-jre-headless\n' "$version"
      return
    fi
  done
  printf 'openjdk-17-jre-headless\n'
}

java_is_new_enough() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || true
  ((${version:-0} >= 17))
}

# What clang links with -fsanitize: in a package of its own, named after clang's version, on all but older Ubuntus.
sanitizers_package() {
  local version candidate
  if command -v clang++ >/dev/null; then
    if compgen -G "$(clang++ -print-resource-dir)/lib/*/libclang_rt.asan*" >/dev/null; then return; fi
    version=$(clang++ -dumpversion)
    printf 'libclang-rt-%s-dev\n' "${version%%.*}"
  else
    version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
    candidate=$(apt-cache policy "libclang-rt-${version:-none}-dev" 2>/dev/null)
    if [[ $candidate == *'Candidate: '[0-9]* ]]; then
      printf 'libclang-rt-%s-dev\n' "$version"
    fi
  fi
}

missing() {
  local group package wanted=()
  for group in "$@"; do
    case $group in
      build) wanted+=("${build_packages[@]}") ;;
      tests) wanted+=("${tests_packages[@]}") ;;
      lint)
        mapfile -t -O "${#wanted[@]}" wanted < <(sanitizers_package)
        wanted+=("${lint_packages[@]}")
        ;;
      trixie) wanted+=("${trixie_packages[@]}") ;;
      docker)
        wanted+=("${docker_packages[@]}")
        # Whoever has an engine from elsewhere keeps it: the packages exclude each other.
        command -v dockerd >/dev/null || wanted+=(docker.io)
        command -v docker-compose >/dev/null || wanted+=(docker-compose)
        ;;
      stack)
        wanted+=("${stack_packages[@]}")
        java_is_new_enough || wanted+=("$(java_package)")
        ;;
    esac
  done
  for package in "${wanted[@]}"; do installed "$package" || printf '%s\n' "$package"; done
}

# Debian's postgresql package starts a cluster of its own on 5432, the port of ours, unless it is told not to before.
without_default_cluster() {
  installed postgresql-common && return
  apt_install postgresql-common
  sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  grep -q '^create_main_cluster = false' /etc/postgresql-common/createcluster.conf ||
    printf 'create_main_cluster = false\n' >>/etc/postgresql-common/createcluster.conf
}

apt_install() {
  local output
  output=$(DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" 2>&1) && return
  printf '%s\n' "$output" >&2
  return 1
}

main() {
  local group packages
  (($# > 0)) || usage_error
  for group in "$@"; do
    case $group in
      build | tests | lint | trixie | docker | stack) ;;
      -h | --help) usage && exit ;;
      *) usage_error ;;
    esac
  done
  command -v dpkg-query >/dev/null || exit 0 # not Debian: whoever needs a program will say that it is missing
  mapfile -t packages < <(missing "$@")
  ((${#packages[@]})) || exit 0
  if ((EUID == 0)); then
    printf 'installing %s\n' "${packages[*]}"
    apt-get update -qq
    # Looked up again: before the update there may have been no list to choose a Java from.
    mapfile -t packages < <(missing "$@")
    if [[ " ${packages[*]} " == *' postgresql '* ]]; then without_default_cluster; fi
    apt_install "${packages[@]}"
  elif sudo -n true 2>/dev/null; then
    exec sudo -n "$0" "$@"
  else
    printf 'error: packages are missing; install them with this line, then try again:\n  %s\n' \
      "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
}

main "$@"
