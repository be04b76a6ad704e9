#!/usr/bin/env bash
# What memory lockstepd takes: at the peak of a drain, at rest after it, and started with nothing to do; with few topics,
# with many, and with a small budget. Prints figures, asserts none.
#
# usage: [VARIABLE=...] tests/bench/memory.sh     (the stack is started and removed)
#
#   BASE, DAEMON, CONNECTIONS: see support/common.sh
set -euo pipefail

# shellcheck source=tests/bench/support/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/support/common.sh"

rest_seconds=10
few='^bench\.public\.t[01]$' # of 206,000 records each
many='^bench\.public\.t([2-9]|[1-6][0-9])$' # 68 topics of 6,000 records each

fill() { timeout 300 "$bench_client" fill --brokers "$KAFKA_BROKERS" --count "$1" --each "$2"; } # TOPICS EACH

all_applied() { [[ $(target_sql 'SELECT sum(next_offset) FROM lockstep.progress' 2>/dev/null) == "$1" ]]; }

measure() { # NAME WHAT PATTERN RECORDS
  local pipeline=memory-$1-$RANDOM peak rest
  target_sql 'DROP SCHEMA IF EXISTS lockstep CASCADE'
  start_daemon "$1" "$pipeline" "$3"
  until_true 300 'the records' all_applied "$4"
  sleep $rest_seconds
  peak=$(memory_mib VmHWM)
  rest=$(memory_mib VmRSS)
  stop_daemon
  start_daemon "$1" "$pipeline" "$3"
  sleep $rest_seconds
  printf '%-4s %-28s max_bytes %-6s drain of %d: peak %3d MiB, at rest %3d MiB; nothing to do: %3d MiB\n' \
    "$1" "$2" "${MAX_BYTES:-64MiB}" "$4" "$peak" "$rest" "$(memory_mib VmRSS)"
  stop_daemon
}

start_stack target kafka
conditions
printf 'making the backlog …\n'
timeout 300 "$bench_client" tables --brokers "$KAFKA_BROKERS" --target "$TARGET_URL" --count 70
fill 70 6000
fill 2 200000
for MAX_BYTES in 64MiB 8MiB; do
  for name in "${names[@]}"; do
    measure "$name" '2 topics' "$few" 412000
    measure "$name" '68 topics' "$many" 408000
  done
done
