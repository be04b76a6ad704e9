#!/usr/bin/env bash
# A stack of the tests' own, beside the user's: tools/stack/local.sh on free ports, under build/test-stack/NAME.
set -euo pipefail

usage() {
  cat <<END
usage: tests/stack.sh up NAME [SERVICE...]   start a stack (services: source target kafka connect redis; none means all)
                                           and print the path of its env file, which a shell can source
       tests/stack.sh down NAME             stop it and delete its data; its logs stay in build/test-stack/logs/NAME
       tests/stack.sh COMMAND NAME [ARGUMENT...]   any other command of tools/stack/local.sh on it:
                                           start-service, stop-service, kill-service, freeze-service, thaw-service,
                                           connector, status, logs, env

\`down\` may be called at any time, whatever became of \`up\`: call it from a trap.
END
}

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  usage
  exit 0
fi
if (($# < 2)) || [[ ! $2 =~ ^[A-Za-z0-9_-]+$ || $2 == logs || $2 == lib ]]; then
  usage >&2
  exit 2
fi
action=$1
name=$2
shift 2

folder=$project/build/test-stack
export LOCKSTEP_STATE_DIR=$folder/$name LOCKSTEP_LIB_DIR=$folder/lib
# The data lives for minutes, and only our own crashes are tested, not the machine's.
export LOCKSTEP_FSYNC=${LOCKSTEP_FSYNC:-off}
# A test that waits for a member's session to run out need not wait for the 6 s that a broker asks for.
export LOCKSTEP_KAFKA_SETTINGS='group.min.session.timeout.ms=1000'
unset SOURCE_PORT TARGET_PORT KAFKA_PORT KAFKA_CONTROLLER_PORT CONNECT_PORT REDIS_PORT # a user's stack may have set them

# shellcheck source=tools/stack/process.sh
. "$project/tools/stack/process.sh"
# shellcheck source=tests/support/ports.sh
. "$project/tests/support/ports.sh"

case $action in
  up)
    choose_ports "$LOCKSTEP_STATE_DIR"
    "$project/tools/stack/local.sh" up "$@" >&2
    "$project/tools/stack/local.sh" env >"$LOCKSTEP_STATE_DIR/env"
    printf '%s\n' "$LOCKSTEP_STATE_DIR/env"
    ;;
  down)
    [[ -d $LOCKSTEP_STATE_DIR ]] || exit 0
    "$project/tools/stack/local.sh" down
    rm -rf "$folder/logs/$name"
    mkdir -p "$folder/logs"
    if [[ -d $LOCKSTEP_STATE_DIR/log ]]; then cp -r "$LOCKSTEP_STATE_DIR/log" "$folder/logs/$name"; fi
    "$project/tools/stack/local.sh" reset
    ;;
  *)
    exec "$project/tools/stack/local.sh" "$action" "$@"
    ;;
esac
