#!/usr/bin/env bash
# The tier `docker`: what needs a container engine, on one of the tests' own. Called by tests/run.sh, which builds first.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

trap '"$here/engine.sh" down' EXIT
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
exit "$failed"
