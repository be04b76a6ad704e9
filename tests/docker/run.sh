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
"$here/engine.sh" up
for script in systemd stack; do
  [[ -e $here/$script.sh ]] || continue
  printf '=== %s\n' "$script"
  begun=$SECONDS
  if "$here/engine.sh" exec "$here/$script.sh"; then
    printf '=== %s: %s s\n' "$script" $((SECONDS - begun))
  else
    printf '=== %s: FAILED after %s s\n' "$script" $((SECONDS - begun))
    failed=1
  fi
done
((failed == 0))
