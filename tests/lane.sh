#!/usr/bin/env bash
# lane.sh LANE PROGRAM...: runs the program on the stack that tests/run.sh has started for the lane, else on the one
# that the environment tells of.
variable=LOCKSTEP_LANE_${1^^}
# shellcheck source=/dev/null
if [[ -n ${!variable:-} ]]; then . "${!variable}"; fi
shift
exec "$@"
