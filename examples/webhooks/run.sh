#!/usr/bin/env bash
# Ten thousand changes of packages as calls to three customers, one of whom is slow. After ./setup.sh.
set -euo pipefail

# shellcheck source=examples/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

[[ -x build/bin/lockstepd && -x build/bin/generate_changes ]] || die "build/bin/ has no lockstepd: run ./setup.sh first"
export KAFKA_BROKERS=${KAFKA_BROKERS:-localhost:$(port KAFKA_PORT 9092)}
exec python3 examples/webhooks/show.py "$@"
