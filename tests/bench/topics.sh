#!/usr/bin/env bash
# What many topics take: one lockstepd on 2,000 of them, each with a few records at the start, one more while it runs,
# and then nothing. Prints figures, asserts none.
#
# The records of the second part are written while lockstepd reads: with one broker for all on the same machine, writing
# them is most of the time.
#
# usage: [VARIABLE=...] tests/bench/topics.sh [TOPICS]     (2000 by default; the stack is started and removed)
#
#   RECORDS=5   in each topic at the start
#   BASE, DAEMON, CONNECTIONS: see support/common.sh
set -euo pipefail

# shellcheck source=tests/bench/support/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/support/common.sh"

topics=${1:-2000}
records=${RECORDS:-5}
idle_seconds=10

fill() { "$bench_client" fill --brokers "$KAFKA_BROKERS" --count "$topics" --each "$1"; }

# all_applied EACH: fails, too, before the daemon has made its table.
all_applied() { [[ $(target_sql 'SELECT sum(next_offset) FROM lockstep.progress' 2>/dev/null) == $((topics * $1)) ]]; }

# timed COMMAND...: sets wall_s and used_s, the time and the daemon's CPU until the command has ended.
timed() {
  local begin begin_cpu
  begin=$(now_ns)
  begin_cpu=$(total_cpu_s)
  "$@"
  wall_s=$(awk -v ns=$(($(now_ns) - begin)) 'BEGIN { printf "%.2f", ns / 1e9 }')
  used_s=$(awk -v begin="$begin_cpu" -v end="$(total_cpu_s)" 'BEGIN { printf "%.2f", end - begin }')
}

total_cpu_s() { if [[ -n $daemon ]]; then cpu_s | awk '{ print $1 + $2 }'; else echo 0; fi; }

start_and_apply() {
  start_daemon "$1" "topics-$1-$2" '^bench\.public\.t.*'
  until_true 300 'the first records' all_applied "$each"
}

fill_and_apply() {
  fill 1
  each=$((each + 1))
  until_true 300 'one more record in each topic' all_applied "$each"
}

measure() { # NAME RUN
  # Table after table, as no transaction has room for that many locks.
  target_sql 'DROP SCHEMA IF EXISTS lockstep CASCADE'
  target_sql "DO \$\$ BEGIN FOR i IN 0..$((topics - 1)) LOOP EXECUTE 'TRUNCATE t' || i; COMMIT; END LOOP; END \$\$"
  target_sql CHECKPOINT
  timed start_and_apply "$1" "$2"
  printf '%-4s run %d, start: %d records of %d topics in %.2f s, CPU %.2f s\n' "$1" "$2" $((topics * each)) "$topics" "$wall_s" "$used_s"
  timed fill_and_apply
  printf '%-4s run %d, running: %d records of %d topics in %.2f s, CPU %.2f s\n' "$1" "$2" "$topics" "$topics" "$wall_s" "$used_s"
  timed sleep $idle_seconds
  printf '%-4s run %d, idle: CPU %.2f s in %.2f s; memory %d MiB, peak %d MiB\n' "$1" "$2" "$used_s" "$wall_s" \
    "$(memory_mib VmRSS)" "$(memory_mib VmHWM)"
  stop_daemon
}

# 512 MiB are used up by the requests for that many partitions: the broker collects garbage, then ends.
export LOCKSTEP_JAVA_HEAP=2g
start_stack target kafka
conditions
printf 'making %d topics …\n' "$topics"
timeout 300 "$bench_client" tables --brokers "$KAFKA_BROKERS" --target "$TARGET_URL" --count "$topics"
fill "$records"
each=$records # records in each topic
# Run 0 does not count: whoever comes first takes ten times as long to be written to while it reads.
measure "${names[0]}" 0
for name in "${names[@]}"; do measure "$name" 1; done
