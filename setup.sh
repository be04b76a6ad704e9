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

usage() {
  cat <<'END'
usage: ./setup.sh [up|down|reset|status|logs [SERVICE]] [--engine docker|local]

  up               install what is missing, build, start everything, wait until a change arrives in the target (default);
                   again is safe: it rebuilds, updates the connector and restarts the daemon
  down             stop everything, keep the data
  reset            stop everything and delete the data
  status           what runs, and where
  logs [SERVICE]   follow the logs of all, or of one: source target kafka connect redis lockstepd

  --engine docker  in containers; the default where a Docker engine and Compose answer
  --engine local   as plain processes, data in .local/
                   (the engine of the first `up` stays until `reset`)

Ports: SOURCE_PORT (5432)  TARGET_PORT (5433)  KAFKA_PORT (9092)  CONNECT_PORT (8083)
  REDIS_PORT (6379)  HTTP_PORT (8000), for example
  SOURCE_PORT=15432 ./setup.sh
Moved ports are written into .env, where Docker Compose, lockstepd and the tools find them.
END
}

usage_error() {
  printf 'error: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

step() { printf '%-10s %s\n' "$1" "$2"; }

# --- ports ------------------------------------------------------------------------------------------------------------

# For each port: the environment's, else what .env remembers, else the default.
read_ports() {
  local variable value
  for variable in "${!default_port[@]}"; do
    value=${!variable:-}
    if [[ -z $value && -f .env ]]; then value=$(sed -n "s/^$variable=//p" .env | tail -n 1 | tr -d "\"' \r"); fi
    value=${value:-${default_port[$variable]}}
    need_port "$variable" "$value"
    export "$variable=$value"
  done
}

# Only lines of ours are touched: the file may be the user's.
remember_ports() {
  local variable lines=()
  for variable in SOURCE_PORT TARGET_PORT KAFKA_PORT KAFKA_CONTROLLER_PORT CONNECT_PORT REDIS_PORT HTTP_PORT; do
    [[ ${!variable} == "${default_port[$variable]}" ]] || lines+=("$variable=${!variable}")
  done
  # The configuration names Kafka by address.
  [[ $KAFKA_PORT == "${default_port[KAFKA_PORT]}" ]] || lines+=("KAFKA_BROKERS=localhost:$KAFKA_PORT")
  forget_ports
  if ((${#lines[@]})); then printf '%s\n' "${lines[@]}" >>.env; fi
}

forget_ports() {
  local variable
  [[ -f .env ]] || return 0
  for variable in "${!default_port[@]}"; do sed -i "/^$variable=/d" .env; done
  sed -i '/^KAFKA_BROKERS=localhost:/d' .env
  if [[ ! -s .env ]]; then rm .env; fi
}

# --- engine local -----------------------------------------------------------------------------------------------------

local_stack() { LOCKSTEP_STATE_DIR=$STATE_DIR tools/stack/local.sh "$@"; }

local_usable() { :; }

# Whether a cluster or a broker of ours lies here, even half made.
local_has_data() { [[ -e $STATE_DIR/pg-root || -e $STATE_DIR/kafka ]]; }

local_up() {
  tools/packages.sh build stack
  # Before the build, which takes minutes: a taken port should be known at once.
  step stack "PostgreSQL source and target, Kafka, Kafka Connect, Redis"
  local_stack up
  remember
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
  if port_taken "$HTTP_PORT"; then
    die "port $HTTP_PORT for lockstepd is taken: stop what uses it, or choose another with HTTP_PORT=..."
  fi
  step lockstepd "--config config/lockstep.yaml"
  mkdir -p "$STATE_DIR/lockstepd"
  # All of it named, so that a variable of the user's cannot send the sample rows to another database.
  KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT TARGET_HOST=127.0.0.1 TARGET_PASSWORD=lockstep SOURCE_HOST=127.0.0.1 \
    SOURCE_LOCKSTEP_PASSWORD=lockstep STATE_DIRECTORY=$STATE_DIR/lockstepd \
    launch lockstepd "$project/build/bin/lockstepd" --config "$project/config/lockstep.yaml"
}

stop_daemon() {
  signal_process lockstepd TERM
  await_stop lockstepd 10
}

local_check_daemon() { running lockstepd || local_fail "lockstepd ended"; }

local_fail() { fail_with_log lockstepd "$1"; }

local_sql() { # source|target QUERY
  local number=$SOURCE_PORT
  [[ $1 == source ]] || number=$TARGET_PORT
  PGPASSWORD=postgres psql -X -At -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$number" -U postgres -d "$1_db" -c "$2"
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

local_page() { printf 'http://localhost:%s/\n' "$HTTP_PORT"; }

local_hints() {
  cat <<END
  change a row      PGPASSWORD=postgres psql -h localhost -p $SOURCE_PORT -U postgres source_db -c "UPDATE users SET name = 'Ada King' WHERE id = 1"
  wait for it       build/bin/lockstepd --config config/lockstep.yaml wait
  and see it there  build/bin/check_target_db users
  watch changes go  build/bin/demo
  make many more    build/bin/generate_changes -Q 1000 --rate 50
END
}

# --- engine docker ----------------------------------------------------------------------------------------------------

# Says why it can't be used, if it can't.
docker_usable() {
  if ! command -v docker >/dev/null || ! docker info >/dev/null 2>&1; then
    printf 'no Docker engine answers here\n'
  elif ((${#compose_command[@]} == 0)); then
    printf 'a Docker engine answers, but Compose is missing (packages: docker-compose-plugin, docker-compose)\n'
  else
    return 0
  fi
  return 1
}

# Asked for once: each answer takes a tenth of a second. Empty: there is none.
compose_command=()
find_compose() {
  if docker compose version >/dev/null 2>&1; then
    compose_command=(docker compose)
  elif docker-compose version >/dev/null 2>&1; then
    compose_command=(docker-compose)
  fi
}

compose() { "${compose_command[@]}" "$@"; }

docker_up() {
  local service
  docker_check_ports
  step images "PostgreSQL, Kafka and Connect, Redis, lockstepd (log: .local/log/images.log)"
  mkdir -p "$LOG_DIR"
  compose build >"$(log_of images)" 2>&1 || fail_with_log images "an image could not be built"
  remember
  remember_token
  step stack "PostgreSQL source and target, Kafka, Kafka Connect, Redis"
  compose up -d source target kafka connect redis >"$(log_of containers)" 2>&1 ||
    fail_with_log containers "the containers did not start: see also ./setup.sh logs"
  # Those that run already have not seen init scripts that are new.
  for service in source target; do
    compose exec -T "$service" /lockstep/tools/stack/local.sh up "$service" || die "the $service could not be filled"
  done
  step connector "postgres-connector"
  compose exec -T connect /lockstep/tools/stack/local.sh connector ||
    die "the connector does not run: see ./setup.sh logs connect"
  step lockstepd "--config config/lockstep.yaml"
  # Anew each time: a table may have stopped, or the configuration changed.
  compose up -d --no-deps --force-recreate lockstepd >"$(log_of containers)" 2>&1 ||
    fail_with_log containers "lockstepd did not start"
}

# Into a container nobody comes from loopback: without a token its page would show nothing.
remember_token() {
  if [[ -z ${HTTP_TOKEN:-} ]] && ! grep -qs '^HTTP_TOKEN=.' .env; then
    printf 'HTTP_TOKEN=%s\n' "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" >>.env
  fi
}

docker_page() {
  printf 'http://localhost:%s/#token=%s\n' "$HTTP_PORT" "${HTTP_TOKEN:-$(sed -n 's/^HTTP_TOKEN=//p' .env | tail -n 1)}"
}

# Of those that no container of ours holds already.
docker_check_ports() {
  local variable published
  published=$(docker ps --filter "label=com.docker.compose.project.working_dir=$project" --format '{{.Ports}}')
  for variable in SOURCE_PORT TARGET_PORT KAFKA_PORT CONNECT_PORT REDIS_PORT HTTP_PORT; do
    if [[ $published != *":${!variable}->"* ]] && port_taken "${!variable}"; then
      die "port ${!variable} is taken: stop what uses it, or choose another with $variable=..."
    fi
  done
}

# The daemon stays in its container even if the configuration is wrong (docker-compose.yaml says why).
docker_check_daemon() {
  local state
  state=$(docker inspect -f '{{.State.Status}} {{.RestartCount}}' "$(compose ps -q lockstepd)")
  if [[ $state != 'running 0' ]] || compose exec -T lockstepd grep -q sleep /proc/1/comm; then
    docker_fail "lockstepd does not run"
  fi
}

docker_fail() {
  printf 'error: %s\n--- the end of lockstepd'"'"'s log:\n' "$1" >&2
  compose logs --tail 15 lockstepd >&2
  exit 1
}

docker_sql() { # source|target QUERY
  local number=5432
  [[ $1 == source ]] || number=5433
  compose exec -T -e PGPASSWORD=postgres "$1" \
    psql -X -At -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$number" -U postgres -d "$1_db" -c "$2"
}

docker_down() { compose down; }

docker_reset() {
  compose down --volumes
  if [[ -f .env ]]; then sed -i '/^HTTP_TOKEN=/d' .env; fi
  rm -rf "$STATE_DIR"
}

docker_status() {
  compose ps
  if [[ -n $(compose ps -q connect) ]]; then
    step connector "$(compose exec -T connect /lockstep/tools/stack/local.sh connector-state)"
  fi
}

docker_logs() { compose logs --tail 40 -f "$@"; }

docker_hints() {
  local compose="${compose_command[*]}"
  cat <<END
  change a row      $compose exec -e PGPASSWORD=postgres source psql -h localhost -U postgres source_db -c "UPDATE users SET name = 'Ada King' WHERE id = 1"
  wait for it       $compose exec lockstepd lockstepd wait
  and see it there  $compose exec lockstepd check_target_db users
  watch changes go  $compose exec lockstepd demo
  make many more    $compose exec lockstepd generate_changes -Q 1000 --rate 50
END
}

# --- both -------------------------------------------------------------------------------------------------------------

# The engine that was asked for, else the one in use, else what the machine offers.
choose_engine() {
  local used='' reason
  if [[ -f $STATE_DIR/engine ]]; then
    used=$(<"$STATE_DIR/engine")
  elif local_has_data; then
    used=local
  fi
  if [[ $action == up && -n $engine && -n $used && $used != "$engine" ]]; then
    die "the stack was made with --engine $used; ./setup.sh reset first"
  fi
  engine=${engine:-$used}
  [[ $engine == local ]] || find_compose
  if [[ -z $engine ]]; then
    if reason=$(docker_usable); then
      engine=docker
    else
      engine=local
      if [[ $action == up && $reason == *Compose* ]]; then step engine "local: $reason"; fi
    fi
  elif ! reason=$("${engine}_usable"); then
    [[ $used == "$engine" ]] || die "$reason: start it, or use --engine local"
    die "$reason, and this stack is in its containers: start it (to give the stack up: rm $STATE_DIR/engine)"
  fi
}

# From here on there is something to stop and to delete, and ports that the tools must know.
remember() {
  mkdir -p "$STATE_DIR"
  printf '%s\n' "$engine" >"$STATE_DIR/engine"
  remember_ports
}

# The sample tables, of init-scripts/.
tables=(users orders super_heroes package_status)

up() {
  local table rows=
  [[ ! -e build || -w build ]] ||
    die "build/ belongs to $(stat -c %U build): run this under that account, or give the folder away"
  "${engine}_up"
  wait_for_rows
  wait_for_change
  for table in "${tables[@]}"; do rows+=", $(count target "$table") $table"; done
  step target "holds what the source holds: ${rows#, } ($SECONDS s in all)"
  cat <<END

source     postgresql://postgres:postgres@localhost:$SOURCE_PORT/source_db
target     postgresql://postgres:postgres@localhost:$TARGET_PORT/target_db
kafka      127.0.0.1:$KAFKA_PORT
connect    http://127.0.0.1:$CONNECT_PORT
redis      redis://127.0.0.1:$REDIS_PORT
lockstepd  ./setup.sh logs lockstepd
live page  $("${engine}_page")

Try next:
END
  "${engine}_hints"
  cat <<END
  what runs         ./setup.sh status
  stop, delete      ./setup.sh down, ./setup.sh reset
END
}

# await SECONDS WHAT COMMAND...: until it succeeds; the daemon must live meanwhile. WHAT is said if it never does.
await() {
  local seconds=$1 what=$2 deadline=$((SECONDS + $1))
  shift 2
  until "$@"; do
    "${engine}_check_daemon"
    ((SECONDS < deadline)) || "${engine}_fail" "after $seconds s $what: see ./setup.sh status and ./setup.sh logs"
    sleep 0.2
  done
}

count() { "${engine}_sql" "$1" "SELECT count(*) FROM $2" || die "the $1 can't be asked for its $2"; } # source|target TABLE

same_count() {
  local here there
  here=$(count source "$1") && there=$(count target "$1") || exit 1
  [[ $here == "$there" ]]
}

wait_for_rows() {
  local table
  for table in "${tables[@]}"; do
    send_at=$((SECONDS + 5)) # what the connector's snapshot holds is there by then
    await 60 "the target does not have as many rows of $table as the source" rows_arrived "$table"
  done
}

# A connector's snapshot holds the tables that it had in its list when it started for the first time. Of one that came
# later it sends what is written from then on: so each row is written, with the values that it has.
rows_arrived() { # TABLE
  same_count "$1" && return
  if ((SECONDS >= send_at)) && [[ $(count target "$1") == 0 ]]; then
    "${engine}_sql" source "UPDATE $1 SET id = id"
    send_at=$((SECONDS + 5)) # the connector may not have begun anew when it was written
  fi
  return 1
}

# Equal counts may be of yesterday. A row that is written with the values that it has shows that changes flow now.
wait_for_change() {
  local table id before
  for table in "${tables[@]}"; do
    id=$("${engine}_sql" source "SELECT min(id) FROM $table")
    [[ -n $id ]] || continue
    before=$(synced_at "$table" "$id")
    "${engine}_sql" source "UPDATE $table SET id = id WHERE id = $id"
    await 60 "a change of $table has not arrived in the target" synced_after "$table" "$id" "$before"
  done
  "${engine}_check_daemon"
}

synced_at() { "${engine}_sql" target "SELECT synced_at FROM $1 WHERE id = $2" || die "the target can't be asked"; } # TABLE ID

synced_after() { # TABLE ID BEFORE
  local now
  now=$(synced_at "$1" "$2") || exit 1
  [[ -n $now && $now != "$3" ]]
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
      [[ ${arguments[0]:-kafka} =~ ^(source|target|kafka|connect|redis|lockstepd)$ ]] ||
        usage_error "unknown service '${arguments[0]}'"
      ;;
    *) usage_error "unknown command '$action'" ;;
  esac
}

engine=
action=
arguments=()
parse_arguments "$@"
[[ ! -e $STATE_DIR || -O $STATE_DIR ]] ||
  die "$STATE_DIR belongs to $(stat -c %U "$STATE_DIR"), who made this stack: run this under that account, or let it ./setup.sh reset"
read_ports
choose_engine
case $action in
  up) up ;;
  reset)
    "${engine}_reset"
    forget_ports
    say "deleted; what stays: installed packages, Maven's cache, build/, and with Docker the images"
    ;;
  *) "${engine}_$action" "${arguments[@]}" ;;
esac
