#!/usr/bin/env bash
# How fast lockstepd drains a backlog: 500,000 inserts, 100,000 updates and 50,000 deletes with their tombstones, made
# at a real source and written to Kafka by a real Debezium, 700,000 messages in all. Prints a figure, asserts none.
#
# usage: tests/bench/drain.sh [RUNS]     (3 runs by default; the stack is started and removed)
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
runs=${1:-3}
stack=bench
work=$project/build/bench
messages=700000

daemon=
cleanup() {
  if [[ -n $daemon ]]; then kill -TERM "$daemon" 2>/dev/null || :; fi
  "$project/tests/stack.sh" down "$stack"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# until_true SECONDS WHAT COMMAND...: polls, fails when the deadline has passed
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= deadline)); then
      printf 'drain.sh: gave up waiting: %s\n' "$what" >&2
      return 1
    fi
    sleep 0.1
  done
}

source_sql() { psql -qAt -v ON_ERROR_STOP=1 "$SOURCE_URL" -c "$1"; }
target_sql() { PGOPTIONS="-c client_min_messages=warning" psql -qAt -v ON_ERROR_STOP=1 "$TARGET_URL" -c "$1"; }

debezium_is_at() { [[ $(source_sql "SELECT coalesce(bool_and(confirmed_flush_lsn >= '$1'), false) FROM pg_replication_slots") == t ]]; }
last_row_arrived() { [[ $(target_sql "SELECT count(*) FROM orders WHERE product_name = 'the last one'") == 1 ]]; }

daemon_of() { daemon=$(pgrep -P "$1"); }

mkdir -p "$work"
# shellcheck source=/dev/null
. "$("$project/tests/stack.sh" up "$stack")"
"$project/tests/stack.sh" connector "$stack"

printf 'making the backlog …\n'
source_sql "INSERT INTO orders (user_id, product_name, quantity, price, status)
            SELECT 1 + i % 5, 'Product number ' || i, 1 + i % 7, i % 1000 + 0.25, 'paid' FROM generate_series(1, 500000) i"
source_sql "UPDATE orders SET status = 'shipped', quantity = quantity + 1 WHERE id BETWEEN 1000 AND 100999"
source_sql "DELETE FROM orders WHERE id BETWEEN 200000 AND 249999"
source_sql "INSERT INTO orders (user_id, product_name, quantity, price) VALUES (1, 'the last one', 1, 1)"
until_true 300 'Debezium to write all changes to Kafka' debezium_is_at "$(source_sql 'SELECT pg_current_wal_lsn()')"

for ((run = 1; run <= runs; run++)); do
  target_sql "TRUNCATE users, orders; DROP SCHEMA IF EXISTS lockstep CASCADE; CHECKPOINT"
  # A pipeline of its own for each run: its consumer group begins at the beginning.
  sed "s/name: replica/name: drain$run/" "$project/config/lockstep.yaml" >"$work/lockstep.yaml"
  begin=$(date +%s%N)
  /usr/bin/env time -f '%M %U %S' -o "$work/time" \
    "$project/build/bin/lockstepd" --config "$work/lockstep.yaml" 2>"$work/lockstepd.log" &
  timer=$!
  until_true 5 'lockstepd to start' daemon_of "$timer"
  until_true 300 'the last row on the target' last_row_arrived
  end=$(date +%s%N)
  kill -TERM "$daemon"
  wait "$timer"
  daemon=
  read -r peak_kib user system <"$work/time"
  awk -v run="$run" -v ms=$(((end - begin) / 1000000)) -v n=$messages -v peak="$peak_kib" -v cpu="$(awk "BEGIN { print $user + $system }")" \
    'BEGIN { printf "run %d: %d messages in %.2f s: %d messages/s; daemon: peak memory %d MiB, CPU %.2f s\n",
             run, n, ms / 1000, n * 1000 / ms, peak / 1024, cpu }'
  [[ $(source_sql "SELECT count(*), sum(quantity), sum(price) FROM orders") == $(target_sql "SELECT count(*), sum(quantity), sum(price) FROM orders") ]] ||
    { printf 'drain.sh: source and target differ\n' >&2; exit 1; }
done
