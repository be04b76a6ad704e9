#!/usr/bin/env bash
# Ten thousand changes of packages as calls to three customers, one of whom is slow. After ./setup.sh.
set -euo pipefail

# shellcheck source=examples/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

case ${1:-} in
  daemon) run_lockstepd examples/webhooks/lockstep.yaml ;; # the other two are show.py's
  changes) sql source "$(sed "s/:changes/$2/" examples/webhooks/changes.sql)" ;;
  *)
    changes=${1:-10000} seconds=${SLOW_SECONDS:-30}
    [[ $# -le 1 && $changes =~ ^[1-9][0-9]*$ ]] || die "usage: examples/webhooks/run.sh [CHANGES], 10000 by default"
    [[ $seconds =~ ^[0-9]+([.][0-9]+)?$ ]] || die "SLOW_SECONDS=$seconds is no number of seconds"
    command -v python3 >/dev/null || die "python3 is missing, which serves the customers: install it"
    SLOW_SECONDS=$seconds exec python3 examples/webhooks/show.py "$changes"
    ;;
esac
