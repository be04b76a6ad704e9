#!/usr/bin/env bash
# The tier `docker`: what needs a container engine, on one of the tests' own. Called by tests/run.sh, which builds.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# A script that is stopped by a signal may end with the engine, before it has come to its stack.
export LOCKSTEP_TEST_STACK=docker-$$
clean_up() {
  "$here/engine.sh" down
  "$here/../stack.sh" down "$LOCKSTEP_TEST_STACK" >/dev/null
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

failed=0
check() { # NAME SCRIPT
  local begun=$SECONDS
  printf '=== %s\n' "$1"
  if "$here/engine.sh" exec "$2"; then
    printf '=== %s: %s s\n' "$1" $((SECONDS - begun))
  else
    printf '=== %s: FAILED after %s s\n' "$1" $((SECONDS - begun))
    failed=1
  fi
}

"$here/engine.sh" up
check systemd "$here/systemd.sh"
"$here/engine.sh" base trixie
"$here/engine.sh" no-compose-plugin
check 'docker-compose' "$here/stack.sh"
"$here/engine.sh" compose-plugin
check 'docker compose' "$here/stack.sh"
((failed == 0))
