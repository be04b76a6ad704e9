#!/usr/bin/env bash
# Gathers changes in Redis and loads them in one go, on the stack of ./setup.sh. See README.md.
set -euo pipefail
# shellcheck source=examples/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

target_sql() { # QUERY
  PGPASSWORD=postgres psql -X -At -q -h 127.0.0.1 -p "$(port TARGET_PORT 5433)" -U postgres -d target_db -c "$1"
}
redis() { # COMMAND...
  if [[ $(<.local/engine) == docker ]]; then
    docker compose exec -T redis redis-cli "$@"
  else
    redis-cli -p "$(port REDIS_PORT 6379)" "$@"
  fi
}
waiting() { redis get lockstep:gathered:count; }
loaded() { target_sql 'SELECT count(*) FROM gathered.orders' 2>/dev/null || echo 0; }
state() { printf '%s %s' "$(waiting)" "$(redis hget lockstep:gathered:load begun)"; }

await() { # WHAT COMMAND...: until it succeeds, for a minute
  local what=$1 deadline=$((SECONDS + 60))
  shift
  until "$@"; do
    if ! kill -0 "$daemon" 2>/dev/null || ((SECONDS >= deadline)); then
      printf 'error: %s: that does not happen, see %s\n' "$what" "$log" >&2
      exit 1
    fi
    sleep 0.1
  done
}
is_known() { [[ -n $(waiting) ]]; }
has_changed() { [[ $(state) != "$before" && -z $(redis keys 'lockstep:gathered:load_until:*') ]]; }

log=.local/log/threshold.log
mkdir -p .local/log
(run_lockstepd examples/threshold/lockstep.yaml) >"$log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" || true' EXIT
printf 'a daemon gathers the changes of orders (log: %s)\n' "$log"
await "redis has the count" is_known

for order in {1..11}; do
  before=$(state)
  source_sql "INSERT INTO orders (user_id, product_name, quantity, price) VALUES (1, 'gathered', 1, 1)"
  await "the order is counted" has_changed
  printf 'order %2d: changes that wait in Redis %2s, rows in the target %s\n' "$order" "$(waiting)" "$(loaded)"
done
printf '\nthe newest of those that wait:\n'
redis hvals lockstep:gathered:pending:dbserver1.public.orders | tail -n 1
