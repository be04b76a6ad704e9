#!/usr/bin/env bash
# Ten thousand changes of packages as calls to three customers, one of whom is slow. After ./setup.sh.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

[[ -x build/bin/lockstepd && -x build/bin/generate_changes ]] || {
  printf 'error: build/bin/ has no lockstepd: run ./setup.sh first\n' >&2
  exit 1
}
port=${KAFKA_PORT:-}
if [[ -z $port && -f .env ]]; then port=$(sed -n 's/^KAFKA_PORT=//p' .env | tail -n 1); fi
export KAFKA_BROKERS=${KAFKA_BROKERS:-localhost:${port:-9092}}
exec python3 examples/webhooks/show.py "$@"
