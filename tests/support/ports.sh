# shellcheck shell=bash
# Ports for a stack of the tests'. Sourced by them, after tools/stack/process.sh.

# Below the range that the system hands out by itself: a port must still be free when a killed service starts again.
# Nor may another stack of ours have it, which may be starting at this moment or have its service down.
# A stack keeps those that it has.
choose_ports() { # FOLDER-OF-THE-STACK
  mkdir -p "$1"
  {
    flock 8
    [[ -f $1/ports ]] || free_ports "${1%/*}" >"$1/ports"
  } 8>"${1%/*}/ports.lock"
}

free_ports() { # FOLDER-OF-STACKS
  local below variable number taken
  read -r below _ </proc/sys/net/ipv4/ip_local_port_range
  taken=" $(sed -s 's/.*=//' "$1"/*/ports 2>/dev/null | tr '\n' ' ')" || true # the first has no others
  for variable in SOURCE_PORT TARGET_PORT KAFKA_PORT KAFKA_CONTROLLER_PORT CONNECT_PORT REDIS_PORT HTTP_PORT; do
    until number=$((10000 + RANDOM % (below - 10000))) && [[ $taken != *" $number "* ]] && ! port_taken "$number"; do
      :
    done
    taken+="$number "
    printf '%s=%s\n' "$variable" "$number"
  done
}
