# shellcheck shell=bash
# Registers a connector with Kafka Connect and tells its state, over Connect's REST API.
# Sourced by local.sh and setup.sh.

# Connect is on this machine, whatever http_proxy says.
loopback_curl() { curl --noproxy '*' "$@"; }

connector_name() { sed -n 's/.*"name": *"\([^"]*\)".*/\1/p' "$1" | head -n 1; } # FILE

# connector_state URL NAME: prints "RUNNING, task RUNNING": the connector's own state, then its task's.
connector_state() {
  local states
  states=$(loopback_curl -fs -m 5 "$1/connectors/$2/status" | grep -o '"state":"[A-Z_]*"' | cut -d '"' -f 4) || true
  if [[ -n $states ]]; then printf '%s\n' "${states//$'\n'/, task }"; else printf 'not registered\n'; fi
}

# failure URL NAME: the first lines of a failed task's stack trace.
failure() { loopback_curl -fs -m 5 "$1/connectors/$2/status" | grep -o '"trace":"[^"]*' | cut -c 10-600; }

# register_connector URL FILE: registers it, or updates it if it is there already, and waits until it runs. On
# failure it says what Connect answered.
register_connector() {
  local url=$1 file=$2 name state answer code failed_at deadline=$((SECONDS + 60))
  name=$(connector_name "$file")
  [[ -n $name ]] || { printf 'error: %s: no connector in it\n' "$file" >&2 && return 1; }
  until
    answer=$(loopback_curl -s -m 30 -w '\n%{http_code}' -X PUT -H 'Content-Type: application/json' -d "@$file" \
      "$url/connectors/$name/config") || true
    code=${answer##*$'\n'}
    [[ $code == 20? ]]
  do
    # 404, 409 and 5xx, or no answer: the worker is still finding its place. Any other answer is about the file.
    if [[ $code == 4?? && $code != 404 && $code != 409 ]] || ((SECONDS >= deadline)); then
      printf 'error: Connect does not take %s: %s\n' "$file" "${answer%$'\n'*}" >&2
      return 1
    fi
    sleep 0.3
  done
  # An unchanged configuration does not wake a task that failed before.
  loopback_curl -s -m 30 -o /dev/null -X POST "$url/connectors/$name/restart?includeTasks=true&onlyFailed=true" || true
  failed_at=$((SECONDS + 3)) # until then it may be the old state
  until state=$(connector_state "$url" "$name") && [[ $state == 'RUNNING, task RUNNING' ]]; do
    if ((SECONDS >= deadline)) || [[ $state == *FAILED* && $SECONDS -ge $failed_at ]]; then
      printf 'error: connector %s: %s %s\n' "$name" "$state" "$(failure "$url" "$name")" >&2
      return 1
    fi
    sleep 0.3
  done
}
