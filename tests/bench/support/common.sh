# shellcheck shell=bash disable=SC2034 # those that source it use the variables
# What the benches share: a stack of their own, lockstepd in one version or two, and figures. Sourced by them.
#
#   DAEMON=/path/to/lockstepd   what is measured (build/bin/lockstepd)
#   BASE=/path/to/lockstepd     another to compare it with: the two take turns, on the same data
#   CONNECTIONS=4               sink.connections of DAEMON; BASE may not know the key
#   MAX_BYTES=8MiB              batch.max_bytes, of both
#   CONNECTOR=FILE              another connector than debezium-config/postgres-connector.json

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
bench_client=$project/build/bin/bench_client
connector=${CONNECTOR:-$project/debezium-config/postgres-connector.json}
bench=$(basename "$0" .sh)
work=$project/build/bench/$bench
daemon= # the pid of the lockstepd that runs

declare -A binary=([new]=${DAEMON:-$project/build/bin/lockstepd} [base]=${BASE:-})
names=(new) # of what takes turns
if [[ -n ${BASE:-} ]]; then names=(base new); fi

die() {
  printf '%s: %s\n' "$bench" "$*" >&2
  exit 1
}

for name in "${names[@]}"; do [[ -x ${binary[$name]} ]] || die "no lockstepd: ${binary[$name]}"; done

# turns ROUND: the names in the order of this round. Every other one is turned round: whatever a run leaves behind is not
# always found by the same.
turns() {
  if (($1 % 2 == 0)) && [[ -n ${BASE:-} ]]; then echo new base; else echo "${names[@]}"; fi
}

end_bench() {
  if [[ -n $daemon ]]; then kill -TERM "$daemon" 2>/dev/null || :; fi
  "$project/tests/stack.sh" down "$bench"
}

# start_stack SERVICE...: until the script ends.
start_stack() {
  mkdir -p "$work"
  trap end_bench EXIT
  trap 'exit 130' INT TERM
  # shellcheck source=/dev/null
  . "$("$project/tests/stack.sh" up "$bench" "$@")"
}

# until_true SECONDS WHAT COMMAND...: polls, fails when the deadline has passed
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= deadline)); then die "gave up waiting: $what"; fi
    if [[ -n $daemon ]] && ! kill -0 "$daemon" 2>/dev/null; then die "lockstepd ended: $work/*.log"; fi
    sleep 0.05
  done
}

source_sql() { psql -qAt -v ON_ERROR_STOP=1 "$SOURCE_URL" -c "$1"; }
target_sql() { PGOPTIONS="-c client_min_messages=warning" psql -qAt -v ON_ERROR_STOP=1 "$TARGET_URL" -c "$1"; }

# The target as it was: no rows in TABLES..., no positions.
empty_target() {
  local IFS=,
  target_sql "TRUNCATE $*; DROP SCHEMA IF EXISTS lockstep CASCADE; CHECKPOINT"
}

# write_config NAME PIPELINE TOPICS: with keys that all versions know. A pipeline of its own for each start: its
# consumer group begins at the beginning. TOPICS: a list, or one ^pattern.
write_config() {
  local topics="topics: [$3]" sink='' batch='' http=''
  if [[ $1 == new ]]; then http='http: {listen: "127.0.0.1:0"}'; fi # beside whatever has port 8000
  if [[ $3 == ^* ]]; then topics="topics_pattern: '$3'"; fi
  if [[ $1 == new && -n ${CONNECTIONS:-} ]]; then sink=", connections: $CONNECTIONS"; fi
  if [[ -n ${MAX_BYTES:-} ]]; then batch="batch: {max_bytes: $MAX_BYTES}"; fi
  cat <<END
kafka: {brokers: "$KAFKA_BROKERS"}
pipelines:
  - name: $2
    $topics
    sink: {type: postgres, url: "$TARGET_URL"$sink}
    $batch
$http
END
}

start_daemon() { # NAME PIPELINE TOPICS
  write_config "$@" >"$work/$1.yaml"
  "${binary[$1]}" --config "$work/$1.yaml" >"$work/$1.log" 2>&1 &
  daemon=$!
}

# Sets peak_mib, user_s and system_s: what the daemon took.
stop_daemon() {
  peak_mib=$(memory_mib VmHWM)
  read -r user_s system_s < <(cpu_s)
  kill -TERM "$daemon"
  wait "$daemon" || die "lockstepd failed: $work/*.log"
  daemon=
}

memory_mib() { awk -v key="$1:" '$1 == key { printf "%d", $2 / 1024 }' "/proc/$daemon/status"; } # VmHWM (the peak), VmRSS

# User and system seconds of the daemon until now. /proc/PID/stat has the name in (), then the state.
cpu_s() { sed 's/.*) //' "/proc/$daemon/stat" | awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f %.2f\n", $12 / hz, $13 / hz }'; }

now_ns() { date +%s%N; }

# percentile P [COLUMN]: of the samples on stdin, one a line.
percentile() {
  sort -n -k "${2:-1},${2:-1}" | awk -v p="$1" -v column="${2:-1}" '
    { sample[NR] = $column }
    END { i = int(p / 100 * NR + 0.999999); if (i < 1) i = 1; printf "%.1f", sample[i] }'
}

median() { sort -n | awk '{ sample[NR] = $1 } END { print (sample[int((NR + 1) / 2)] + sample[int(NR / 2) + 1]) / 2 }'; }

# What figures depend on.
conditions() {
  local name
  printf '%s cores; PostgreSQL %s, fsync %s; Kafka %s' "$(nproc)" "$(target_sql 'SHOW server_version' | cut -d ' ' -f 1)" \
    "$(target_sql 'SHOW fsync')" "$(pinned_version kafka)"
  if [[ -n $(curl -fs -m 5 "${CONNECT_URL:-}/connectors" || :) ]]; then
    printf '; Debezium %s, poll.interval.ms %s' "$(pinned_version debezium)" \
      "$(sed -n 's/.*"poll.interval.ms": "\(.*\)".*/\1/p' "$connector")"
  fi
  printf '\n'
  for name in "${names[@]}"; do printf '%-5s %s (%s)\n' "$name" "${binary[$name]}" "$("${binary[$name]}" --version)"; done
}

pinned_version() { sed -n "s|.*<$1.version>\(.*\)</$1.version>.*|\1|p" "$project/tools/stack/pom.xml"; }
