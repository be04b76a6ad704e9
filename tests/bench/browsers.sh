#!/usr/bin/env bash
# What browsers on the live page cost a drain, and what memory they take of a daemon at rest. Prints figures, asserts
# none.
#
# usage: [VARIABLE=...] tests/bench/browsers.sh [RUNS]     (3 runs by default; the stack is started and removed)
#
#   ARRIVING=2000          changes a second that come to another table meanwhile: what there was before is not on the page
#   BROWSERS=50, DEAF=20   how many are attached, and how many of these stop reading once they are (their TCP window fills)
#   TABLES=2, HOT=1: see support/backlog.sh
#   DAEMON, CONNECTIONS: see support/common.sh
#
# The drains with and without browsers alternate. A browser is a client that does what the page does: it listens to its
# WebSocket, on which come both what arrives and what is applied, and asks for /status every 1.5 s. They are attached as
# soon as the daemon serves HTTP, some 0.1 s after its start, and what they take of the processor is in the drain's time.
set -euo pipefail

# shellcheck source=tests/bench/support/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/support/common.sh"
# shellcheck source=tests/bench/support/backlog.sh
. "$(dirname "${BASH_SOURCE[0]}")/support/backlog.sh"

runs=${1:-3}
arriving=${ARRIVING:-2000}
browsers=${BROWSERS:-50}
deaf=${DEAF:-20}
rest_seconds=10
clients= # the pid of those that are attached
changes= # the pid of what writes those that arrive
[[ -z ${BASE:-} ]] || die 'BASE has no place here: run it twice'

http_port() { sed -n 's|.*HTTP is served at http://127.0.0.1:\([0-9]*\)/.*|\1|p' "$work/new.log"; }
serves_http() { [[ -n $(http_port) ]]; }
are_attached() { grep -q '^attached$' "$work/browsers.log"; }

begin_changes() { # TABLE
  timeout 600 "$bench_client" fill --brokers "$KAFKA_BROKERS" --count 1 --first "$1" --each 10000000 \
    --rate "$arriving" &
  changes=$!
}

end_changes() {
  kill -TERM "$changes"
  wait "$changes" || [[ $? == 143 ]] || die 'the changes that arrive do not'
  changes=
}

attach() {
  until_true 10 'HTTP' serves_http
  : >"$work/browsers.log"
  timeout 600 "$project/build/bin/bench_browsers" --port "$(http_port)" --count "$browsers" --deaf "$deaf" \
    >"$work/browsers.log" 2>&1 &
  clients=$!
  until_true 10 "the browsers: $work/browsers.log" are_attached
}

detach() {
  kill -TERM "$clients"
  wait "$clients" || die "the browsers failed: $(<"$work/browsers.log")"
  clients=
}

end_browsers() {
  local pid
  for pid in $clients $changes; do kill -TERM "$pid" 2>/dev/null || :; done
  end_bench
}

drain() { # alone|watched RUN
  local begin end table
  empty_target users "${tables[@]}"
  # A table of its own: what has arrived in the drain before is none of this one's.
  table=$((2 * $2))
  if [[ $1 == watched ]]; then table=$((table + 1)); fi
  begin_changes "$table"
  begin=$(now_ns)
  start_daemon new "browsers-$1-$2" "$topics, bench.public.t$table"
  if [[ $1 == watched ]]; then attach; fi
  until_true 300 'the last row on the target' last_rows_arrived
  end=$(now_ns)
  if [[ $1 == watched ]]; then detach; fi
  end_changes
  stop_daemon
  check_equal
  awk -v name="$1" -v run="$2" -v s="$(((end - begin) / 1000000))e-3" -v n="$messages" -v peak="$peak_mib" -v user="$user_s" \
    -v system_="$system_s" 'BEGIN {
      printf "%-7s run %d: %d messages in %.2f s: %d messages/s; peak memory %d MiB, CPU %.2f s (system %.2f s)\n",
             name, run, n, s, n / s, peak, user + system_, system_ }'
  if [[ $1 == watched ]]; then sed -n '/ browsers, /s/^/                /p' "$work/browsers.log"; fi
  printf '%s\n' "$(((end - begin) / 1000000))" >>"$work/$1.ms"
}

at_rest() { # WHAT
  sleep $rest_seconds
  printf 'at rest, %-28s %3d MiB\n' "$1:" "$(memory_mib VmRSS)"
}

# On a daemon that has nothing to do: the pipeline is that of the last drain, which has applied everything.
measure_memory() { # PIPELINE
  start_daemon new "$1" "$topics"
  until_true 10 'HTTP' serves_http
  at_rest 'without browsers'
  attach
  at_rest "with $browsers browsers"
  detach
  at_rest 'after they have left'
  stop_daemon
}

rm -f "$work"/*.log
start_with_backlog
trap end_browsers EXIT
"$bench_client" tables --brokers "$KAFKA_BROKERS" --target "$TARGET_URL" --count $((2 * (runs + 1)))
conditions
# Not counted: the first one finds a broker that has only written yet.
drain alone 0
rm -f "$work"/*.ms
for ((run = 1; run <= runs; run++)); do
  if ((run % 2)); then order=(alone watched); else order=(watched alone); fi
  for name in "${order[@]}"; do drain "$name" "$run"; done
done
alone_ms=$(median <"$work/alone.ms")
watched_ms=$(median <"$work/watched.ms")
awk -v alone="$alone_ms" -v watched="$watched_ms" -v n="$browsers" -v deaf="$deaf" 'BEGIN {
  printf "median alone %.2f s, with %d browsers (%d deaf) %.2f s: %.2f of the time\n",
         alone / 1000, n, deaf, watched / 1000, watched / alone }'
measure_memory "browsers-$name-$runs"
