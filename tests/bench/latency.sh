#!/usr/bin/env bash
# How long one change takes that comes alone: from the source's commit to the target's row, from Kafka's log to the
# row, and what the source's exactly-once takes of it. Prints figures, asserts none.
#
# usage: [VARIABLE=...] tests/bench/latency.sh [ROUNDS]     (3 rounds by default; the stack is started and removed)
#
#   CHANGES=100, RECORDS=170   how many of each in a round
#   LOCKSTEP_FSYNC=on          PostgreSQL as ./setup.sh has it; the stacks of the tests spare the disk
#   BASE, DAEMON, CONNECTIONS: see support/common.sh
#
# A change is made 20 to 50 ms (at random) after the one before has arrived. Its time begins when the source has answered
# the commit, or Kafka the producer, and ends when a query that is sent every 0.2 ms sees the row.
set -euo pipefail

# shellcheck source=tests/bench/support/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/support/common.sh"

rounds=${1:-3}
changes=${CHANGES:-100}
records=${RECORDS:-170}
topics="dbserver1.public.users, dbserver1.public.orders, bench.public.t0"

round() { # NAME NUMBER
  empty_target users orders t0
  start_daemon "$1" "latency-$1-$2" "$topics"
  "$bench_client" rows --source "$SOURCE_URL" --target "$TARGET_URL" --count "$changes" >>"$work/$1.rows"
  "$bench_client" records --brokers "$KAFKA_BROKERS" --target "$TARGET_URL" --table t0 --count "$records" >>"$work/$1.records"
  stop_daemon
}

row() { # WHAT FILE [COLUMN]
  local p figures=()
  for p in 50 95 99; do figures+=("$(percentile "$p" "${3:-1}" <"$2")"); done
  printf '%-52s %8s %8s %8s %8d\n' "$1" "${figures[@]}" "$(wc -l <"$2")"
}

start_stack source target kafka connect
"$project/tests/stack.sh" connector "$bench" "$connector"
"$bench_client" tables --brokers "$KAFKA_BROKERS" --target "$TARGET_URL" --count 1
rm -f "$work"/*.rows "$work"/*.records "$work/visible"
conditions
for ((number = 1; number <= rounds; number++)); do
  for name in $(turns "$number"); do round "$name" "$number"; done
done
"$bench_client" visible --source "$SOURCE_URL" --brokers "$KAFKA_BROKERS" --topic dbserver1.public.orders \
  --count $((rounds * changes)) >"$work/visible"
awk '{ print $1 - $2 }' "$work/visible" >"$work/exactly-once"

printf '%-52s %8s %8s %8s %8s\n' ms p50 p95 p99 changes
for name in "${names[@]}"; do
  row "$name: source's commit to target's row" "$work/$name.rows"
  row "$name: Kafka's log to target's row" "$work/$name.records"
done
row "source's commit to Kafka, read committed" "$work/visible" 1
row "source's commit to Kafka, read uncommitted" "$work/visible" 2
row "the source's exactly-once: their difference" "$work/exactly-once"
