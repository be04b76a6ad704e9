#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that are missing, and only those.
set -euo pipefail

usage() {
  cat <<END
usage: tools/packages.sh GROUP...

  build   compilers and libraries to build lockstepd
  tests   what its tests need besides
  browser  what tests/run.sh browser needs: Chromium, node and npm
  lint    what tools/lint.sh and the build with sanitizers need
  trixie  what makes the Debian 13 root of tests/run.sh debian13
  docker  the Docker engine of tests/run.sh docker
  stack   what the local stack runs on: the next four
  postgres  kafka  maven  redis

As root it installs, else with sudo, which may ask for a password on the terminal; where neither is possible it prints
the line to run and exits with 1.
END
}

build_packages=(g++ cmake ninja-build pkg-config librdkafka-dev libpqxx-dev libsimdjson-dev libyaml-cpp-dev
  libspdlog-dev nlohmann-json3-dev libcli11-dev libsystemd-dev libboost-dev prometheus-cpp-dev
  libcurl4-openssl-dev libssl-dev libhiredis-dev)
tests_packages=(catch2 openssl python3-venv python3-h2)
lint_packages=(ccache clang clang-format clang-tidy shellcheck)
trixie_packages=(debootstrap debian-archive-keyring)
kafka_packages=(curl ca-certificates)
docker_packages=(slirp4netns iproute2 python3)

usage_error() {
  usage >&2
  exit 2
}

installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Debian's default Java is new enough for Kafka (17), that of older Ubuntus is not: take the newest that there is.
java_package() {
  local version candidate
  for version in 25 21; do
    candidate=$(apt-cache policy "openjdk-$version-jre-headless" 2>/dev/null) || true
    if [[ $candidate == *'Candidate: '[0-9]* ]]; then
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
      browser)
        wanted+=(chromium)
        # Whoever has them from elsewhere keeps them: the packages exclude each other.
        command -v node >/dev/null || wanted+=(nodejs)
        command -v npm >/dev/null || wanted+=(npm)
        ;;
      trixie) wanted+=("${trixie_packages[@]}") ;;
      docker)
        wanted+=("${docker_packages[@]}")
        # Whoever has an engine from elsewhere keeps it: the packages exclude each other.
        command -v dockerd >/dev/null || wanted+=(docker.io)
        command -v docker-compose >/dev/null || wanted+=(docker-compose)
        ;;
      postgres) wanted+=(postgresql) ;;
      maven) wanted+=(maven ca-certificates) ;;
      redis) wanted+=(redis-server redis-tools) ;;
      kafka)
        wanted+=("${kafka_packages[@]}")
        java_is_new_enough || wanted+=("$(java_package)")
        ;;
    esac
  done
  for package in "${wanted[@]}"; do installed "$package" || printf '%s\n' "$package"; done
}

# Debian's postgresql package starts a cluster of its own on 5432, the port of ours, unless it is told not to before.
# The machine's owner keeps the file as it was.
install_without_default_cluster() { # PACKAGE...
  local file=/etc/postgresql-common/createcluster.conf
  apt_install postgresql-common
  cp -p "$file" "$file.lockstep"
  # shellcheck disable=SC2064  # the name is known now
  trap "mv '$file.lockstep' '$file'" EXIT
  sed -i '/^#*[ \t]*create_main_cluster/d; $a create_main_cluster = false' "$file"
  apt_install "$@"
}

# Debian's redis-server package starts one of its own on 6379, the port of ours, now and after each boot. Whoever had
# the package before keeps what it does.
disable_default_redis() {
  if command -v systemctl >/dev/null; then systemctl disable --now --quiet redis-server 2>/dev/null || true; fi
}

# The oldest libraries that we build with are Debian 12's; Ubuntu has them since 24.04.
check_distribution() {
  local offered
  offered=$(apt-cache policy librdkafka-dev 2>/dev/null | sed -n 's/^ *Candidate: \([0-9].*\)/\1/p')
  if [[ -n $offered ]] && dpkg --compare-versions "$offered" lt 2.0; then
    printf 'error: %s\n' "this system is too old to build lockstepd: its librdkafka is $offered, Debian 12's 2.0.2 is the
  oldest supported. Debian 12, Ubuntu 24.04 and later will do, or ./setup.sh --engine docker" >&2
    exit 1
  fi
}

apt_install() {
  local output
  output=$(DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" 2>&1) && return
  printf '%s\n' "$output" >&2
  return 1
}

# The same as a line for a user's shell; the path may hold spaces.
command_line() { printf '%q ' sudo "$(realpath "$0")" "$@"; }

main() {
  local group groups=() packages
  (($# > 0)) || usage_error
  for group in "$@"; do
    case $group in
      build | tests | browser | lint | trixie | docker | postgres | kafka | maven | redis) groups+=("$group") ;;
      stack) groups+=(postgres kafka maven redis) ;;
      -h | --help) usage && exit ;;
      *) usage_error ;;
    esac
  done
  command -v dpkg-query >/dev/null || exit 0 # not Debian: whoever needs a program will say that it is missing
  if [[ " ${groups[*]} " == *' build '* ]]; then check_distribution; fi
  mapfile -t packages < <(missing "${groups[@]}")
  ((${#packages[@]})) || exit 0
  if ((EUID == 0)); then
    printf 'installing %s\n' "${packages[*]}"
    apt-get update -qq -o Acquire::Retries=3
    # Looked up again: before the update there may have been no list.
    if [[ " ${groups[*]} " == *' build '* ]]; then check_distribution; fi
    mapfile -t packages < <(missing "${groups[@]}")
    if [[ " ${packages[*]} " == *' postgresql '* ]] && ! installed postgresql-common; then
      install_without_default_cluster "${packages[@]}"
    else
      apt_install "${packages[@]}"
    fi
    if [[ " ${packages[*]} " == *' redis-server '* ]]; then disable_default_redis; fi
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]]; }; then
    printf 'packages are missing, installing them with sudo: %s\n' "${packages[*]}"
    exec sudo "$0" "$@"
  else
    printf 'error: packages are missing: %s\ninstall them with this line, or have root run it without sudo; then try again:\n  %s\n' \
      "${packages[*]}" "$(command_line "$@")" >&2
    exit 1
  fi
}

main "$@"
