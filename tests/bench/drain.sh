#!/usr/bin/env bash
# How fast lockstepd drains a backlog that a real Debezium wrote to Kafka. Prints figures, asserts none.
#
# usage: [VARIABLE=...] tests/bench/drain.sh [RUNS]     (3 runs by default; the stack is started and removed)
#
#   TABLES=2, HOT=1: see support/backlog.sh
#   BASE, DAEMON, CONNECTIONS: see support/common.sh
set -euo pipefail

# shellcheck source=tests/bench/support/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/support/common.sh"

# shellcheck source=tests/bench/support/backlog.sh
. "$(dirname "${BASH_SOURCE[0]}")/support/backlog.sh"

runs=${1:-3}

# Each transaction moves the position of each topic that it has changes of.
transactions() { target_sql "SELECT n_tup_ins + n_tup_upd FROM pg_stat_all_tables WHERE relid = 'lockstep.progress'::regclass"; }

drain() { # NAME RUN
  local begin end
  empty_target users "${tables[@]}"
  begin=$(now_ns)
  start_daemon "$1" "drain-$1-$2" "$topics"
  until_true 300 'the last row on the target' last_rows_arrived
  end=$(now_ns)
  stop_daemon
  check_equal
  awk -v name="$1" -v run="$2" -v s="$(((end - begin) / 1000000))e-3" -v n="$messages" -v peak="$peak_mib" -v user="$user_s" \
    -v system_="$system_s" -v moves="$(transactions)" 'BEGIN {
      printf "%-4s run %d: %d messages in %.2f s: %d messages/s; peak memory %d MiB, CPU %.2f s (system %.2f s), ",
             name, run, n, s, n / s, peak, user + system_, system_
      printf "%d transactions\n", moves }'
  printf '%s\n' "$(((end - begin) / 1000000))" >>"$work/$1.ms"
}

start_with_backlog
conditions
# Not counted: the first one finds a broker that has only written yet.
drain "${names[0]}" 0
rm -f "$work"/*.ms
for ((run = 1; run <= runs; run++)); do
  for name in $(turns "$run"); do drain "$name" "$run"; done
done
for name in "${names[@]}"; do
  median_ms=$(median <"$work/$name.ms")
  printf '%-4s median %.2f s\n' "$name" "${median_ms}e-3"
done
if [[ -n ${BASE:-} ]]; then
  awk -v base="$(median <"$work/base.ms")" -v new="$median_ms" \
    'BEGIN { printf "new takes %.2f of the time of base\n", new / base }'
fi
