#!/usr/bin/env bash
# The test command: installs and builds what is missing, runs the tests, ends with ctest's summary.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<END
usage: tests/run.sh [TIER]

  (none)       all tiers but bench, debian13 and docker: lint, unit (also with sanitizers), integration, e2e, faults, browser
  lint         format, includes, shellcheck, clang-tidy
  unit         without services, in a Release build and in one with sanitizers
  integration  against a real Kafka and PostgreSQL
  e2e          the whole pipeline with Debezium
  faults       the same, with services that die
  browser      the live page
  bench        how fast it is: prints figures, asserts nothing
  debian13     builds and runs the unit tests in a Debian 13 root under build/ (needs root)
  docker       what runs under Docker or systemd, with a Docker engine of the tests' own (needs root)

Tests that need services get a stack of their own under build/test-stack, beside whatever runs already.
END
}

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

failed=()

# stage NAME COMMAND...: runs it and says how long it took; a failure is remembered, and the rest still runs.
stage() {
  local name=$1 begun=$SECONDS
  shift
  say "=== $name"
  if "$@"; then
    say "=== $name: $((SECONDS - begun)) s"
  else
    say "=== $name: FAILED after $((SECONDS - begun)) s"
    failed+=("$name")
    return 1
  fi
}

# --- build ------------------------------------------------------------------------------------------------------------

# build_preset PRESET FOLDER [TARGET...]
build_preset() {
  local preset=$1 folder=$2
  shift 2
  cmake --preset "$preset" -DLOCKSTEP_TESTS=ON >/dev/null && cmake --build "$folder" ${1:+--target "$@"}
}

# The programs of the unit tier that the configured FOLDER knows.
unit_programs() { cmake --build "$1" --target help | sed -n 's/^\(test_unit_[a-z0-9_]*\): phony$/\1/p'; }

build_unit() { # PRESET FOLDER
  local programs
  cmake --preset "$1" -DLOCKSTEP_TESTS=ON >/dev/null || return
  mapfile -t programs < <(unit_programs "$2")
  cmake --build "$2" --target "${programs[@]}"
}

# clang++ with address and undefined-behaviour sanitizers: a second opinion on warnings, and on memory.
sanitized_unit() {
  build_unit asan build/asan &&
    ctest --test-dir build/asan -L '^unit$' --output-on-failure
}

# The parts with threads of their own, and all of a pipeline on a real broker, with the thread sanitizer.
sanitized_threads() {
  cmake --preset tsan >/dev/null &&
    cmake --build build/tsan --target test_unit_pipeline test_integration_pipeline &&
    ctest --test-dir build/tsan -R '^(unit|integration)[.]pipeline$' --output-on-failure
}

# --- stack ------------------------------------------------------------------------------------------------------------

stack=

start_stack() {
  local file
  stack=run-$$
  trap stop_stack EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  file=$(tests/stack.sh up "$stack") || return
  # shellcheck source=/dev/null
  . "$file"
}

stop_stack() {
  local output
  output=$(tests/stack.sh down "$stack" 2>&1) || printf 'error: the stack is not gone:\n%s\n' "$output" >&2
}

# --- tiers ------------------------------------------------------------------------------------------------------------

has_tests() { [[ $(ctest --test-dir build -N -L "^$1\$") != *'Total Tests: 0'* ]]; }

# run_tests TIER...: one ctest for all of them, so that its summary is about all of them.
run_tests() {
  local tiers
  tiers=$(IFS='|' && printf '%s' "$*")
  ctest --test-dir build -L "^($tiers)\$" --output-on-failure
}

run_all() {
  tools/packages.sh build tests lint stack
  stage build build_preset release build
  stage lint tools/lint.sh || true
  stage 'unit tests with sanitizers' sanitized_unit || true
  stage stack start_stack
  stage 'threads with the thread sanitizer' sanitized_threads || true
  say "=== tests"
  run_tests unit integration e2e faults browser || failed+=(tests)
}

run_tier() {
  case $1 in
    lint)
      tools/packages.sh build tests lint
      tools/lint.sh
      ;;
    unit)
      tools/packages.sh build tests lint
      stage build build_unit release build
      stage 'unit tests with sanitizers' sanitized_unit || true
      run_tests unit || failed+=(unit)
      ;;
    integration | e2e | faults | browser)
      tools/packages.sh build tests stack
      stage build build_preset release build
      if ! has_tests "$1"; then
        say "there are no $1 tests yet"
        return
      fi
      stage stack start_stack
      run_tests "$1" || failed+=("$1")
      ;;
    bench)
      local script
      tools/packages.sh build tests stack
      stage build build_preset release build
      for script in tests/bench/*.sh; do stage "$script" "$script" || true; done
      ;;
    debian13) tests/debian13.sh ;;
    docker)
      tools/packages.sh build tests stack trixie docker
      stage build build_preset release build
      stage docker tests/docker/run.sh || true
      ;;
    -h | --help) usage ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
}

(($# <= 1)) || { usage >&2 && exit 2; }
if (($# == 0)); then run_all; else run_tier "$1"; fi
if ((${#failed[@]})); then exit 1; fi
