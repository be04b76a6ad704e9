#!/usr/bin/env bash
# The whole pipeline on this machine: installs, builds, starts, stops, shows. See --help.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$project"

STATE_DIR=$project/.local
RUN_DIR=$STATE_DIR/run
LOG_DIR=$STATE_DIR/log
# shellcheck source=tools/stack/process.sh
. tools/stack/process.sh
# shellcheck source=tools/stack/connector.sh
. tools/stack/connector.sh

usage() {
  cat <<'END'
usage: ./setup.sh [up|down|reset|status|logs [SERVICE]] [--engine docker|local]

  up               install what is missing, build, start everything, wait for the sample rows in the target (default);
                   again is safe: it rebuilds, updates the connector and restarts the daemon
  down             stop everything, keep the data
  reset            stop everything and delete the data
  status           what runs, and where
  logs [SERVICE]   follow the logs of all, or of one: source target kafka connect lockstepd

  --engine docker  in containers; the default where a Docker engine answers
  --engine local   as plain processes, data in .local/
                   (the engine of the first `up` stays until `reset`)

Ports: SOURCE_PORT (5432)  TARGET_PORT (5433)  KAFKA_PORT (9092)  CONNECT_PORT (8083), for example
  SOURCE_PORT=15432 ./setup.sh
END
}

usage_error() {
  printf 'error: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

step() { printf '%-10s %s\n' "$1" "$2"; }

connector_file=debezium-config/postgres-connector.json

# --- engine local -----------------------------------------------------------------------------------------------------

local_stack() { LOCKSTEP_STATE_DIR=$STATE_DIR tools/stack/local.sh "$@"; }

local_up() {
  tools/packages.sh build stack
  # Before the build, which takes minutes: a taken port should be known at once.
  step stack "PostgreSQL source and target, Kafka, Kafka Connect"
  local_stack up
  local_addresses
  step connector "postgres-connector"
  local_stack connector
  build
  start_daemon
}

build() {
  local log
  log=$(log_of build)
  mkdir -p "$LOG_DIR"
  step build "lockstepd, into build/ (log: ${log#"$project"/})"
  { cmake --preset release && cmake --build --preset release; } >"$log" 2>&1 || fail_with_log build "the build failed"
}

# Started anew each time: it may have been rebuilt, or the configuration changed.
start_daemon() {
  stop_daemon
  step lockstepd "--config config/lockstep.yaml"
  # All of it named, so that a variable of the user's cannot send the sample rows to another database.
  TARGET_HOST=127.0.0.1 TARGET_PASSWORD=postgres \
    launch lockstepd "$project/build/bin/lockstepd" --config "$project/config/lockstep.yaml"
}

stop_daemon() {
  signal_process lockstepd TERM
  await_stop lockstepd 10
}

# Sets the ports and KAFKA_BROKERS, for us and for the daemon.
local_addresses() {
  local assignments
  assignments=$(local_stack env)
  eval "$assignments"
}

local_daemon_alive() { running lockstepd || fail_with_log lockstepd "lockstepd ended"; }

local_sql() { # source|target QUERY
  local url=$SOURCE_URL
  [[ $1 == source ]] || url=$TARGET_URL
  psql -X -At -c "$2" "$url"
}

local_down() {
  stop_daemon
  local_stack down
}

local_reset() {
  stop_daemon
  local_stack reset
}

local_status() {
  local pid
  local_stack status
  if pid=$(pid_of lockstepd); then step lockstepd "running               pid $pid"; else step lockstepd stopped; fi
}

local_logs() {
  if [[ ${1:-} == lockstepd ]]; then exec tail -n 40 -F "$(log_of lockstepd)"; fi
  local_stack logs "$@"
}

# --- engine docker ----------------------------------------------------------------------------------------------------

docker_answers() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

docker_up() {
  command -v curl >/dev/null || die "curl is missing"
  if [[ -z $(compose ps -q) ]]; then docker_check_ports; fi
  step stack "building images and starting containers"
  compose up -d --build
  SOURCE_PORT=$(docker_port source 5432)
  TARGET_PORT=$(docker_port target 5432)
  KAFKA_BROKERS=127.0.0.1:$(docker_port kafka 9092)
  CONNECT_URL=http://127.0.0.1:$(docker_port connect 8083)
  step connector "postgres-connector"
  register_connector "$CONNECT_URL" "$connector_file" || die "the connector does not run: see ./setup.sh logs connect"
}

docker_port() { compose port "$1" "$2" | sed 's/.*://'; } # SERVICE PORT-IN-THE-CONTAINER

docker_check_ports() {
  local entry
  for entry in SOURCE_PORT=5432 TARGET_PORT=5433 KAFKA_PORT=9092 CONNECT_PORT=8083; do
    local variable=${entry%=*} number
    number=${!variable:-${entry#*=}}
    if port_taken "$number"; then
      die "port $number is taken: stop what uses it, or choose another with $variable=..."
    fi
  done
}

docker_daemon_alive() {
  [[ $(docker inspect -f '{{.State.Running}}' "$(compose ps -q lockstepd)") == true ]] || die "lockstepd ended: see ./setup.sh logs lockstepd"
}

docker_sql() { compose exec -T "$1" psql -X -At -U postgres -d "$1_db" -c "$2"; }

docker_down() { compose down; }

docker_reset() {
  compose down --volumes
  rm -rf "$STATE_DIR"
}

docker_status() {
  local number
  compose ps
  if number=$(docker_port connect 8083 2>/dev/null) && [[ -n $number ]]; then
    step connector "$(connector_state "http://127.0.0.1:$number" "$(connector_name "$connector_file")")"
  fi
}

docker_logs() { compose logs --tail 40 -f "$@"; }

# --- both -------------------------------------------------------------------------------------------------------------

# The engine that was asked for, else the one in use, else what the machine offers.
choose_engine() {
  local used=
  if [[ -f $STATE_DIR/engine ]]; then used=$(<"$STATE_DIR/engine"); fi
  engine=${engine:-$used}
  if [[ -z $engine ]]; then
    if docker_answers; then engine=docker; else engine=local; fi
  fi
  if [[ $action == up && -n $used && $used != "$engine" ]]; then
    die "the stack was made with --engine $used; ./setup.sh reset first"
  fi
}

up() {
  local rows
  [[ $engine == local ]] || docker_answers || die "no Docker engine answers here: start it, or use --engine local"
  mkdir -p "$STATE_DIR"
  printf '%s\n' "$engine" >"$STATE_DIR/engine"
  "${engine}_up"
  wait_for_rows
  rows="$("${engine}_sql" target 'SELECT count(*) FROM users') users, $("${engine}_sql" target 'SELECT count(*) FROM orders') orders"
  step target "holds what the source holds: $rows ($SECONDS s in all)"
  cat <<END

source     postgresql://postgres:postgres@localhost:$SOURCE_PORT/source_db
target     postgresql://postgres:postgres@localhost:$TARGET_PORT/target_db
kafka      $KAFKA_BROKERS
connect    $CONNECT_URL
lockstepd  ./setup.sh logs lockstepd

Try next:
  change a row      $(psql_hint source) -c "UPDATE users SET name = 'Ada King' WHERE id = 1"
  and see it there  $(psql_hint target) -c "SELECT id, name, synced_at FROM users"
  what runs         ./setup.sh status
  stop, delete      ./setup.sh down, ./setup.sh reset
END
}

psql_hint() { # source|target
  local number=$SOURCE_PORT
  [[ $1 == source ]] || number=$TARGET_PORT
  case $engine in
    local) printf 'psql postgresql://postgres:postgres@localhost:%s/%s_db' "$number" "$1" ;;
    docker) printf 'docker compose exec %s psql -U postgres %s_db' "$1" "$1" ;;
  esac
}

# Equal counts are enough to see that the pipeline flows.
wait_for_rows() {
  local table there here='' deadline=$((SECONDS + 60))
  for table in users orders; do
    until
      here=$("${engine}_sql" source "SELECT count(*) FROM $table")
      there=$("${engine}_sql" target "SELECT count(*) FROM $table")
      [[ $here == "$there" ]]
    do
      "${engine}_daemon_alive"
      ((SECONDS < deadline)) ||
        die "after 60 s the target has $there of $here $table: see ./setup.sh status and ./setup.sh logs"
      sleep 0.2
    done
  done
  "${engine}_daemon_alive"
}

parse_arguments() {
  local words=()
  while (($#)); do
    case $1 in
      --engine)
        (($# > 1)) || usage_error "--engine wants docker or local"
        engine=$2
        shift
        ;;
      --engine=*) engine=${1#*=} ;;
      -h | --help | help)
        usage
        exit
        ;;
      -*) usage_error "unknown option '$1'" ;;
      *) words+=("$1") ;;
    esac
    shift
  done
  [[ $engine =~ ^(docker|local)?$ ]] || usage_error "unknown engine '$engine'"
  action=${words[0]:-up}
  arguments=("${words[@]:1}")
  case $action in
    up | down | reset | status) ((${#arguments[@]} == 0)) || usage_error "$action takes no argument" ;;
    logs)
      ((${#arguments[@]} <= 1)) || usage_error "logs takes one service"
      [[ ${arguments[0]:-kafka} =~ ^(source|target|kafka|connect|lockstepd)$ ]] ||
        usage_error "unknown service '${arguments[0]}'"
      ;;
    *) usage_error "unknown command '$action'" ;;
  esac
}

engine=
action=
arguments=()
parse_arguments "$@"
choose_engine
if [[ $action == up ]]; then up; else "${engine}_$action" "${arguments[@]}"; fi
