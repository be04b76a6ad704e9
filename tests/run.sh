#!/usr/bin/env bash
# The test command: installs and builds what is missing, runs the tests, ends with ctest's summary.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<END
usage: tests/run.sh [TIER]

  (none)       all tiers but bench, debian13 and docker
  lint         format, includes, shellcheck, clang-tidy
  unit         without services, in a Release build and in one with sanitizers
  integration  against a real Kafka and PostgreSQL
  e2e          the whole pipeline with Debezium
  faults       services and daemons that die, tables that are damaged
  browser      the live page, in Chromium
  sanitized    what has threads of its own, with the thread sanitizer; the unit tests and a minute of fuzzing with the
               others
  bench        how fast it is: prints figures, asserts nothing
  debian13     builds and runs the unit tests in a Debian 13 root under build/ (needs root)
  docker       what runs under Docker or systemd, with a Docker engine of the tests' own (needs root)

Tests that need services get stacks of their own under build/test-stack, beside whatever runs already.
How to run a single test: tests/README.md.
END
}

say() { printf '%s\n' "$*"; }

# --- stages -----------------------------------------------------------------------------------------------------------

declare -A pid=() # of the stages that run: each leads a process group, which ends with this script at the latest
logs=build/log

# begin NAME COMMAND...: runs it in the background, what it says goes to a log.
begin() {
  local name=$1
  shift
  mkdir -p "$logs"
  set -m
  timed "$name" "$@" >"$logs/$name" 2>&1 &
  set +m
  pid[$name]=$!
}

timed() {
  local name=$1 begun=$SECONDS code=0
  shift
  "$@" || code=$?
  printf '%s' $((SECONDS - begun)) >"$logs/$name.seconds"
  return $code
}

# finish NAME: waits for its end and says how long it took; if it has failed, what it said.
finish() {
  local name=$1 code=0
  wait "${pid[$name]}" || code=$?
  unset "pid[$name]"
  if ((code == 0)); then
    say "=== $name: $(<"$logs/$name.seconds") s"
  else
    cat "$logs/$name"
    say "=== $name: FAILED after $(<"$logs/$name.seconds") s"
  fi
  return $code
}

stage() {
  say "=== $1"
  begin "$@"
  finish "$1"
}

clean_up() {
  local group name
  trap '' INT TERM
  for group in "${pid[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  for name in "${stacks[@]}"; do stop_stack "$name" & done
  wait
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- build ------------------------------------------------------------------------------------------------------------

build() { # TARGET...
  cmake --preset release -DLOCKSTEP_TESTS=ON && cmake --build build --target "$@"
}

# --- stacks -----------------------------------------------------------------------------------------------------------

stacks=()

# begin_stack LANE [SERVICE...]: the stack of a lane, as tests/CMakeLists.txt calls it; lane.sh finds it.
begin_stack() {
  local lane=$1 name=run-$$-$1
  shift
  stacks+=("$name")
  export "LOCKSTEP_LANE_${lane^^}=$PWD/build/test-stack/$name/env"
  begin "stack-$lane" tests/stack.sh up "$name" "$@"
}

stop_stack() {
  local output
  output=$(tests/stack.sh down "$1" 2>&1) || printf 'error: the stack is not gone:\n%s\n' "$output" >&2
}

# --- tiers ------------------------------------------------------------------------------------------------------------

# run_tests ARGUMENT...: one ctest, so that its summary is about all tests.
run_tests() {
  local code=0
  set -m
  ctest --test-dir build --output-on-failure "$@" &
  set +m
  pid[ctest]=$!
  wait "${pid[ctest]}" || code=$?
  unset 'pid[ctest]'
  return $code
}

# Side by side: a lane of tests for each stack, what compiles or looks at sources with what they leave of the processor,
# and the short tests without services.
run_all() {
  tools/packages.sh build tests lint stack browser
  begin_stack kafka kafka target
  begin_stack debezium
  stage build build all
  finish stack-kafka
  finish stack-debezium
  run_tests --parallel 4
}

run_tier() {
  case $1 in
    lint)
      tools/packages.sh build tests lint
      tools/lint.sh
      ;;
    unit)
      tools/packages.sh build tests lint
      stage build build unit_tests
      run_tests --parallel 2 -L '^unit$'
      ;;
    integration)
      tools/packages.sh build tests stack
      begin_stack kafka source kafka target
      export LOCKSTEP_LANE_DEBEZIUM=$LOCKSTEP_LANE_KAFKA # Debezium is of the other lane's e2e tests only
      stage build build all
      finish stack-kafka
      run_tests -L '^integration$'
      ;;
    e2e | browser)
      tools/packages.sh build tests stack
      [[ $1 != browser ]] || tools/packages.sh browser
      begin_stack debezium
      stage build build all
      finish stack-debezium
      run_tests -L "^$1\$"
      ;;
    faults | sanitized)
      tools/packages.sh build tests lint stack
      begin_stack kafka kafka target
      stage build build all
      finish stack-kafka
      run_tests --parallel 2 -L "^$1\$"
      ;;
    bench)
      local script failed=0
      tools/packages.sh build tests stack
      stage build build all
      for script in tests/bench/*.sh; do
        say "=== $script"
        "$script" || failed=1
      done
      return $failed
      ;;
    debian13) tests/debian13.sh ;;
    docker)
      tools/packages.sh build tests stack trixie docker
      stage build build all
      tests/docker/run.sh
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
