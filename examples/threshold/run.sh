#!/usr/bin/env bash
# Gathers changes in Redis and loads them in one go, on the stack of ./setup.sh. See README.md.
set -euo pipefail
# shellcheck source=examples/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
(($# == 0)) || die "examples/threshold/run.sh takes no argument: see its README.md"

waiting() { redis get lockstep:gathered:count; }
rows() { # CONDITION
  if [[ $(sql target "SELECT to_regclass('gathered.orders') IS NOT NULL") != t ]]; then
    echo 0
  else
    sql target "SELECT count(*) FROM gathered.orders WHERE $1"
  fi
}

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

# It waits in Redis or is in the target, and so is all that came before it; no load is under way.
is_known() { # ORDER
  if [[ $(redis hexists lockstep:gathered:pending:dbserver1.public.orders "{\"id\":$1}") != 1 ]]; then
    [[ $(rows "id = $1") == 1 ]] || return 1
  fi
  [[ $(waiting) -le 10 && -z $(redis keys 'lockstep:gathered:load_until:*') ]]
}

make_order() {
  local order
  order=$(sql source "INSERT INTO orders (user_id, product_name, quantity, price) VALUES (1, 'gathered', 1, 1) RETURNING id")
  await "the order is counted" is_known "$order"
}

tell() { # WHAT
  printf '%-9s changes that wait in Redis %2s, rows in the target %s\n' "$1:" "$(waiting)" "$(rows true)"
}

log=.local/log/threshold.log
mkdir -p .local/log
(run_lockstepd examples/threshold/lockstep.yaml) >"$log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" || true' EXIT
printf 'a daemon gathers the changes of orders (log: %s)\n' "$log"

make_order # behind all that was there: a first run loads that
tell 'at first'
before=$(rows true) order=0
while [[ $(rows true) == "$before" ]] && ((++order <= 11)); do
  newest=$(redis hvals lockstep:gathered:pending:dbserver1.public.orders | tail -n 1)
  make_order
  tell "order $order"
done
printf '\nthe newest of those that have waited:\n%s\n' "$newest"
[[ $(rows true) != "$before" ]] || die "eleven orders, and no load: see $log"
