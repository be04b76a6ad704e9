#!/usr/bin/env bash
# The local engine: two PostgreSQL clusters, a Kafka broker, a Kafka Connect worker and a Redis as plain processes.
# Used by setup.sh for the user's stack and by tests/stack.sh for the tests' own.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../.." && pwd)

STATE_DIR=${LOCKSTEP_STATE_DIR:-$project/.local}
LIB_DIR=${LOCKSTEP_LIB_DIR:-$STATE_DIR/lib}
RUN_DIR=$STATE_DIR/run
LOG_DIR=$STATE_DIR/log
# shellcheck source=tools/stack/process.sh
. "$here/process.sh"
# shellcheck source=tools/stack/connector.sh
. "$here/connector.sh"

services=(source target kafka connect redis)

usage() {
  cat <<END
usage: local.sh COMMAND [ARGUMENT...]

  up [SERVICE...]         start them, and wait until they answer (also: start-service)
  down [SERVICE...]       stop them in good order (also: stop-service)
  kill-service SERVICE    SIGKILL, for fault tests
  freeze-service SERVICE  SIGSTOP to kafka, connect or redis: it answers nobody, and keeps its connections
  thaw-service SERVICE    SIGCONT: it goes on
  connector [FILE]        register or update a connector, and wait until it runs
  connector-state         of the default connector and its task
  serve SERVICE           start it and stay until it ends or SIGTERM comes, its log on stdout: what a container runs
  status                  what runs, and where
  logs [SERVICE]          show the logs as they grow
  env                     addresses as shell assignments
  reset                   stop all, and delete all data

SERVICE is one of: ${services[*]}; none means all.

Environment (default):
  LOCKSTEP_STATE_DIR      where everything lives (.local in the project)
  LOCKSTEP_LIB_DIR        where Kafka and Debezium are unpacked (lib in the state directory)
  SOURCE_PORT (5432)  TARGET_PORT (5433)  KAFKA_PORT (9092)  KAFKA_CONTROLLER_PORT (9093)  CONNECT_PORT (8083)
  REDIS_PORT (6379)
  LOCKSTEP_FSYNC          off: PostgreSQL survives its own crash, but not the machine's (on)
  LOCKSTEP_JAVA_HEAP      of Kafka and of Connect, each (512m)
  LOCKSTEP_CONTAINER      the services are containers called source, target, kafka, connect and redis: each listens on
                          all addresses, Kafka also on 29092 for the other containers (empty: all are here, on loopback)
  LOCKSTEP_KAFKA_SETTINGS lines for the broker's properties, after those of kafka.properties (none)
  KAFKA_PUBLISHED_PORT    the host's port that such a Kafka is published on (9092)
A port, once used, stays with its state directory until the variable says another or \`reset\` is called.
END
}

# --- ports ------------------------------------------------------------------------------------------------------------

declare -A port_variable=([source]=SOURCE_PORT [target]=TARGET_PORT [kafka]=KAFKA_PORT [connect]=CONNECT_PORT
  [redis]=REDIS_PORT)
declare -A port # by variable

# The environment wins, then what this state directory used before, then the default.
read_ports() {
  local variable value
  local -A owner=()
  if [[ -f $STATE_DIR/ports ]]; then
    while IFS='=' read -r variable value; do port[$variable]=$value; done <"$STATE_DIR/ports"
  fi
  for variable in "${!default_port[@]}"; do
    port[$variable]=${!variable:-${port[$variable]:-${default_port[$variable]}}}
    need_port "$variable" "${port[$variable]}"
    value=${port[$variable]}
    [[ ! -v owner[$value] ]] || die "$variable and ${owner[$value]} are both $value"
    owner[$value]=$variable
  done
}

save_ports() {
  local variable
  for variable in "${!port[@]}"; do printf '%s=%s\n' "$variable" "${port[$variable]}"; done >"$STATE_DIR/ports"
}

port_of() { printf '%s\n' "${port[${port_variable[$1]}]}"; }

# Before anything starts: every port that will be needed is free, and a running service is where it should be.
check_ports() {
  local service variable used
  for service in "$@"; do
    local variables=("${port_variable[$service]}")
    [[ $service == kafka ]] && variables+=(KAFKA_CONTROLLER_PORT)
    for variable in "${variables[@]}"; do
      if running "$service"; then
        used=$(sed -n "s/^$variable=//p" "$STATE_DIR/ports" 2>/dev/null) || true
        [[ -z $used || $used == "${port[$variable]}" ]] ||
          die "$service runs on port $used: stop it before moving it to $variable=${port[$variable]}"
      elif port_taken "${port[$variable]}"; then
        die "port ${port[$variable]} for $service is taken: stop what uses it, or choose another with $variable=..."
      fi
    done
  done
}

# --- what must be there -----------------------------------------------------------------------------------------------

need_command() { command -v "$1" >/dev/null || die "$1 is missing: run tools/packages.sh stack"; }

need_java() {
  local version
  need_command java
  version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  ((${version:-0} >= 17)) || die "Java ${version:-?} is too old, Kafka needs 17: run tools/packages.sh stack"
}

# postgres_bin [DATA]: where the programs of a cluster's version lie, else the newest: Debian keeps them out of PATH.
postgres_bin() {
  local bin version
  bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [[ -x $bin/initdb && -x $bin/postgres ]] || die "PostgreSQL is missing: run tools/packages.sh stack"
  # Asked as the cluster's owner: nobody else may look into it.
  if [[ -d ${1:-} ]] && version=$(as_owner_of "$1" cat "$1/PG_VERSION"); then
    bin=/usr/lib/postgresql/$version/bin
    [[ -x $bin/postgres ]] ||
      die "$1 is a cluster of PostgreSQL $version, whose programs are gone: install postgresql-$version, or reset"
  fi
  printf '%s\n' "$bin"
}

# Kafka and Debezium, copied from Maven's cache once per content of pom.xml; Maven's cache is asked first, so that a
# machine without a network can do it again after a reset.
need_lib() {
  lib_complete && return
  mkdir -p "$LIB_DIR" "$LOG_DIR"
  {
    flock -w 900 8 || die "another command is still filling $LIB_DIR" # the tests' stacks share one folder
    lib_complete || fill_lib
  } 8>"$LIB_DIR.lock"
}

lib_complete() { [[ -f $LIB_DIR/stamp && $(<"$LIB_DIR/stamp") == "$(sha256sum <"$here/pom.xml")" ]]; }

fill_lib() {
  local maven=(mvn -B -f "$here/pom.xml" package "-Dstack.lib=$LIB_DIR")
  need_command mvn
  say "fetching Kafka and Debezium (about 80 MB, once)"
  # All of it: the Maven plugin keeps hidden markers of what it takes for unpacked.
  rm -rf "${LIB_DIR:?}"
  mkdir -p "$LIB_DIR"
  "${maven[@]}" -o >"$(log_of maven)" 2>&1 8>&- 9>&- || "${maven[@]}" >"$(log_of maven)" 2>&1 8>&- 9>&- ||
    fail_with_log maven "Maven could not fetch Kafka and Debezium"
  sha256sum <"$here/pom.xml" >"$LIB_DIR/stamp"
}

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

# Where the clusters lie. PostgreSQL refuses root, and the account that stands in for it may not reach a checkout
# under /root: then the clusters go under /var/lib, and the state directory remembers where.
pg_root() {
  local root
  if [[ -f $STATE_DIR/pg-root ]]; then
    cat "$STATE_DIR/pg-root"
    return
  fi
  root=$STATE_DIR/pg
  mkdir -p "$root"
  if ((EUID == 0)); then
    chown postgres: "$root"
    if ! as_owner_of "$root" test -w "$root" 2>/dev/null; then
      rmdir "$root"
      # Not /var/lib/lockstep: that is lockstepd.service's, and systemd gives all in it to the daemon's account.
      install -d -m 755 /var/lib/lockstep-stacks
      root=$(mktemp -d /var/lib/lockstep-stacks/XXXXXXXX)
      chown postgres: "$root"
    fi
  fi
  printf '%s\n' "$root" | tee "$STATE_DIR/pg-root"
}

# as_owner_of PATH COMMAND...: as root, runs it under the account that owns PATH; from /, which everyone may enter.
as_owner_of() {
  local path=$1
  shift
  if ((EUID == 0)); then
    (cd / && setpriv --reuid="$(stat -c %u "$path")" --regid="$(stat -c %g "$path")" --init-groups -- "$@")
  else
    "$@"
  fi
}

prepare_postgres() { # source|target
  local root data password
  root=$(pg_root)
  data=$root/$1
  [[ -d $data ]] && return
  password=$root/$1.password
  (umask 077 && printf 'postgres\n' >"$password")
  if ((EUID == 0)); then chown --reference="$root" "$password"; fi
  as_owner_of "$root" rm -rf "$data.new"
  local options=(--username=postgres --pwfile="$password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8)
  [[ ${LOCKSTEP_FSYNC:-on} == off ]] && options+=(--no-sync)
  as_owner_of "$root" "$(postgres_bin)/initdb" "${options[@]}" -D "$data.new" >"$(log_of "$1")" 2>&1 9>&- ||
    fail_with_log "$1" "could not make the $1 cluster"
  rm -f "$password"
  if [[ -n $container ]]; then
    # shellcheck disable=SC2016  # the shell of the data's owner expands it
    as_owner_of "$root" sh -c 'echo "host all all all scram-sha-256" >>"$0"' "$data.new/pg_hba.conf"
  fi
  mv "$data.new" "$data" # whole or not there
}

# A killed server's lock file must not name a living process, and PostgreSQL takes a zombie for one. Init collects it
# in a moment, where there is one that does.
drop_stale_lock() { # DATA-FOLDER
  local pid deadline=$((SECONDS + 5))
  read -r pid 2>/dev/null <"$1/postmaster.pid" || return 0
  while [[ -d /proc/$pid ]] && ! identity "$pid" >/dev/null; do
    if ((SECONDS >= deadline)); then
      rm -f "$1/postmaster.pid"
      return
    fi
    sleep 0.05
  done
}

start_postgres() { # source|target
  local data bin command
  data=$(pg_root)/$1
  drop_stale_lock "$data"
  bin=$(postgres_bin "$data")
  # No socket file: its path may not be longer than 107 bytes, ours may.
  command=("$bin/postgres" -D "$data" -c "port=$(port_of "$1")" -c "listen_addresses=$listen"
    -c unix_socket_directories= -c "cluster_name=lockstep-$1" -c "fsync=${LOCKSTEP_FSYNC:-on}"
    -c "full_page_writes=${LOCKSTEP_FSYNC:-on}")
  [[ $1 == source ]] && command+=(-c wal_level=logical)
  if ((EUID == 0)); then
    command=(setpriv --reuid="$(stat -c %u "$data")" --regid="$(stat -c %g "$data")" --init-groups -- "${command[@]}")
  fi
  launch "$1" "${command[@]}"
}

sql() { # source|target DATABASE PSQL-OPTION...
  PGPASSWORD=postgres psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(port_of "$1")" -U postgres -d "$2" "${@:3}"
}

postgres_answers() { sql "$1" postgres -c 'SELECT 1'; }

# The init scripts that this cluster has not seen yet, in one transaction: half of them is never seen.
fill_postgres() { # source|target
  local record=$STATE_DIR/$1.filled database=$1_db script files=() names=() seen=' '
  if [[ -f $record ]]; then seen=" $(tr '\n' ' ' <"$record")"; fi
  # What was recorded before there were names in the record.
  if [[ -f $record && ! -s $record ]]; then seen=' 01-tables.sql 02-debezium.sql '; fi
  for script in "$project/init-scripts/$1"/*.sql; do
    [[ $seen != *" ${script##*/} "* ]] || continue
    files+=(-f "$script")
    names+=("${script##*/}")
  done
  ((${#files[@]})) || return 0
  if [[ -z $(sql "$1" postgres -At -c "SELECT 1 FROM pg_database WHERE datname = '$database'") ]]; then
    sql "$1" postgres -c "CREATE DATABASE $database"
  fi
  sql "$1" "$database" -1 "${files[@]}" || die "init-scripts/$1 failed"
  # shellcheck disable=SC2086  # words, one a line
  printf '%s\n' $seen "${names[@]}" >"$record"
}

# --- Kafka and Connect ------------------------------------------------------------------------------------------------

# Prints one argument a line: start fast and stay small; throughput of the JIT's last stage is not needed here.
java_options() {
  local log=-Dorg.slf4j.simpleLogger
  printf '%s\n' "-Xmx${LOCKSTEP_JAVA_HEAP:-512m}" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData \
    "-Djava.io.tmpdir=$STATE_DIR/tmp" $log.showDateTime=true "$log.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX" \
    -cp "$LIB_DIR/kafka/*"
}

random_cluster_id() {
  local id=-
  while [[ $id == -* ]]; do id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '='); done
  printf '%s\n' "$id"
}

configure_kafka() {
  local controller=127.0.0.1:${port[KAFKA_CONTROLLER_PORT]} listeners advertised
  mkdir -p "$STATE_DIR/kafka" "$STATE_DIR/tmp"
  listeners=PLAINTEXT://$listen:${port[KAFKA_PORT]}
  advertised=PLAINTEXT://127.0.0.1:${port[KAFKA_PORT]}
  if [[ -n $container ]]; then
    advertised=PLAINTEXT://127.0.0.1:${KAFKA_PUBLISHED_PORT:-9092}
    listeners+=,CONTAINERS://$listen:29092
    advertised+=,CONTAINERS://kafka:29092
  fi
  cat "$here/kafka.properties" - >"$STATE_DIR/kafka/server.properties" <<END

process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$controller
controller.listener.names=CONTROLLER
listeners=$listeners,CONTROLLER://$controller
advertised.listeners=$advertised
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTAINERS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$STATE_DIR/kafka/data
${LOCKSTEP_KAFKA_SETTINGS:-}
END
}

prepare_kafka() {
  local options
  configure_kafka
  [[ -f $STATE_DIR/kafka/formatted ]] && return
  mapfile -t options < <(java_options)
  rm -rf "$STATE_DIR/kafka/data"
  java "${options[@]}" kafka.tools.StorageTool format --cluster-id "$(random_cluster_id)" \
    --config "$STATE_DIR/kafka/server.properties" >"$(log_of kafka)" 2>&1 9>&- ||
    fail_with_log kafka "could not format Kafka's folder"
  touch "$STATE_DIR/kafka/formatted"
}

start_kafka() {
  local options
  mapfile -t options < <(java_options)
  rotate_log kafka # before its end is noted
  touch "$(log_of kafka)"
  wc -c <"$(log_of kafka)" >"$STATE_DIR/kafka/log-start"
  launch kafka java "${options[@]}" kafka.Kafka "$STATE_DIR/kafka/server.properties"
}

# The broker says when it takes requests; asking it with Kafka's own tools would cost a JVM each time.
kafka_answers() {
  # Not as a pipe: grep ends at the first match, and a tail that has more to say then fails the whole.
  grep -q 'Kafka Server started' < <(tail -c "+$(<"$STATE_DIR/kafka/log-start")" "$(log_of kafka)") &&
    port_taken "${port[KAFKA_PORT]}"
}

prepare_connect() {
  mkdir -p "$STATE_DIR/connect" "$STATE_DIR/tmp"
  cat "$here/connect.properties" - >"$STATE_DIR/connect/worker.properties" <<END

bootstrap.servers=$brokers
listeners=http://$listen:${port[CONNECT_PORT]}
plugin.path=$LIB_DIR/plugins
END
}

start_connect() {
  local options
  mapfile -t options < <(java_options)
  SOURCE_HOST=$source_host SOURCE_PORT=${port[SOURCE_PORT]} DEBEZIUM_PASSWORD=debezium \
    launch connect java "${options[@]}" org.apache.kafka.connect.cli.ConnectDistributed \
    "$STATE_DIR/connect/worker.properties"
}

connect_answers() { loopback_curl -fs -m 5 "$connect_url/health"; }

# --- Redis ------------------------------------------------------------------------------------------------------------

# Nothing is lost with its data (docs/operation.md), so a snapshot a minute is enough; at a stop it takes one, too.
start_redis() {
  local protected=yes
  mkdir -p "$STATE_DIR/redis"
  if [[ -n $container ]]; then protected=no; fi # published on loopback only
  launch redis redis-server --bind "$listen" --port "${port[REDIS_PORT]}" --protected-mode "$protected" \
    --dir "$STATE_DIR/redis" --save 60 1 --appendonly no
}

redis_answers() { [[ $(redis-cli -h 127.0.0.1 -p "${port[REDIS_PORT]}" ping) == PONG ]]; }

# --- commands ---------------------------------------------------------------------------------------------------------

check_services() {
  local service
  for service in "$@"; do
    [[ -v port_variable[$service] ]] || usage_error "unknown service '$service' (known: ${services[*]})"
  done
}

has() { [[ " ${*:2} " == *" $1 "* ]]; }

# Everything that a first start makes, side by side.
prepare() {
  local service jobs=() job failed=0
  for service in "$@"; do
    case $service in
      source | target) prepare_postgres "$service" & jobs+=($!) ;;
      kafka) prepare_kafka & jobs+=($!) ;;
      connect) prepare_connect ;;
    esac
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  ((failed == 0)) || exit 1 # the job has said why
}

start() {
  case $1 in
    source | target) start_postgres "$1" ;;
    kafka) start_kafka ;;
    connect) start_connect ;;
    redis) start_redis ;;
  esac
}

await() {
  case $1 in
    source | target) wait_ready "$1" 60 postgres_answers "$1" ;;
    kafka) wait_ready kafka 60 kafka_answers ;;
    connect) wait_ready connect 90 connect_answers ;;
    redis) wait_ready redis 30 redis_answers ;;
  esac
}

up() {
  local wanted=("$@") starting=() service
  mkdir -p "$RUN_DIR" "$LOG_DIR"
  if has source "${wanted[@]}" || has target "${wanted[@]}"; then
    need_command psql
    postgres_bin >/dev/null
    pg_root >/dev/null
  fi
  if has kafka "${wanted[@]}" || has connect "${wanted[@]}"; then
    need_java
    need_command curl
  fi
  if has redis "${wanted[@]}"; then
    need_command redis-server
    need_command redis-cli
  fi
  check_ports "${wanted[@]}"
  save_ports
  if has kafka "${wanted[@]}" || has connect "${wanted[@]}"; then need_lib; fi
  for service in "${wanted[@]}"; do running "$service" || starting+=("$service"); done
  if ((${#starting[@]})); then
    prepare "${starting[@]}"
    for service in "${starting[@]}"; do start "$service"; done
  fi
  # Also those that ran already: an earlier `up` may have been interrupted before they were ready.
  for service in "${wanted[@]}"; do
    await "$service"
    case $service in source | target) fill_postgres "$service" ;; esac
  done
}

down() {
  local service
  # Connect says good-bye to Kafka, and its connector to the source; the others go together.
  if has connect "$@"; then
    signal_process connect TERM
    await_stop connect 20
  fi
  for service in "$@"; do
    case $service in
      source | target) signal_process "$service" INT ;; # PostgreSQL's fast shutdown
      kafka | redis) signal_process "$service" TERM ;;
    esac
  done
  for service in "$@"; do await_stop "$service" 30; done
}

kill_service() {
  local pid children=() child
  pid=$(pid_of "$1") || die "$1 does not run"
  # PostgreSQL's backends notice their parent's death soon, not at once; a new server must not meet them.
  for child in $(<"/proc/$pid/task/$pid/children"); do
    if child=$(identity "$child"); then children+=("$child"); fi
  done
  signal_process "$1" KILL
  await_stop "$1" 10
  for child in "${children[@]}"; do
    wait_end 10 "$child" || die "$1 is dead, but its child ${child%% *} still runs"
  done
}

# A PostgreSQL's backends would go on: only what is one process can be frozen.
freeze_service() { # SERVICE SIGNAL
  [[ $1 == kafka || $1 == connect || $1 == redis ]] || usage_error "$1 is more than one process"
  running "$1" || die "$1 does not run"
  signal_process "$1" "$2"
}

connector() {
  running connect || die "connect does not run"
  register_connector "$connect_url" "$1" || die "the connector does not run; Connect's log: $(log_of connect)"
}

# For a container: one service in the foreground. Kept apart from its log, it would not be seen by `docker logs`.
serve() { # SERVICE
  local log tail_pid
  log=$(log_of "$1")
  mkdir -p "$LOG_DIR"
  rm -f "/tmp/$1.ready"
  # shellcheck disable=SC2064  # the service is known now
  trap "exec 9>&-; down '$1'; exit 0" TERM INT
  : >"$log"
  tail -n +1 -F "$log" 2>/dev/null 9>&- &
  tail_pid=$!
  up "$1"
  exec 9>&- # others may have the lock
  touch "/tmp/$1.ready"
  say "$1 is ready"
  while running "$1"; do
    sleep 1 &
    wait $! || true # a signal ends the wait at once
  done
  kill "$tail_pid"
  die "$1 has ended"
}

default_connector_state() { connector_state "$connect_url" "$(connector_name "$default_connector")"; }

status() {
  local service pid
  for service in "${services[@]}"; do
    if pid=$(pid_of "$service"); then
      printf '%-10s running   port %-5s  pid %s\n' "$service" "$(port_of "$service")" "$pid"
    else
      printf '%-10s stopped   port %s\n' "$service" "$(port_of "$service")"
    fi
  done
  if running connect; then
    printf '%-10s %s\n' connector "$(default_connector_state)"
  fi
}

logs() {
  local files=("$LOG_DIR"/*.log)
  (($# == 0)) || files=("$(log_of "$1")")
  [[ -f ${files[0]} ]] || die "no logs yet in $LOG_DIR"
  exec tail -n 40 -F "${files[@]}"
}

print_env() {
  local variable
  for variable in "${!port[@]}"; do printf 'export %s=%s\n' "$variable" "${port[$variable]}"; done | sort
  printf 'export KAFKA_BROKERS=127.0.0.1:%s\n' "${port[KAFKA_PORT]}"
  printf 'export SOURCE_URL=postgresql://postgres:postgres@127.0.0.1:%s/source_db\n' "${port[SOURCE_PORT]}"
  printf 'export TARGET_URL=postgresql://postgres:postgres@127.0.0.1:%s/target_db\n' "${port[TARGET_PORT]}"
  printf 'export REDIS_URL=redis://127.0.0.1:%s\n' "${port[REDIS_PORT]}"
  printf 'export CONNECT_URL=%s\n' "$connect_url"
  printf 'export LOCKSTEP_STATE_DIR=%q\n' "$STATE_DIR"
}

reset() {
  local root=
  down "${services[@]}"
  if [[ -f $STATE_DIR/pg-root ]]; then root=$(<"$STATE_DIR/pg-root"); fi
  if [[ -n $root ]]; then rm -rf -- "$root"; fi
  rm -rf -- "$STATE_DIR"
  if [[ $root == /var/lib/* ]]; then rmdir "${root%/*}" 2>/dev/null || true; fi # with the last stack in it
}

# One command at a time per state directory. Kept by the shell alone: services close it (see launch).
lock() {
  mkdir -p "$STATE_DIR"
  [[ -O $STATE_DIR ]] || die "$STATE_DIR belongs to $(stat -c %U "$STATE_DIR"): run this under that account"
  exec 9>"$STATE_DIR/lock"
  flock -w 180 9 || die "another command is still at work on $STATE_DIR"
}

usage_error() {
  printf 'error: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

container=${LOCKSTEP_CONTAINER:-}
listen=127.0.0.1 source_host=127.0.0.1
if [[ -n $container ]]; then listen=0.0.0.0 source_host=source; fi
default_connector=$project/debezium-config/postgres-connector.json

main() {
  local action=${1:-}
  (($# == 0)) || shift
  [[ -n $action ]] || usage_error 'which command?'
  read_ports
  connect_url=http://127.0.0.1:${port[CONNECT_PORT]}
  brokers=127.0.0.1:${port[KAFKA_PORT]}
  if [[ -n $container ]]; then brokers=kafka:29092; fi
  case $action in
    up | start-service | down | stop-service)
      check_services "$@"
      (($# > 0)) || set -- "${services[@]}"
      if [[ $action == up || $action == start-service ]]; then
        lock
        up "$@"
      elif [[ -d $STATE_DIR ]]; then
        lock
        down "$@"
      fi
      ;;
    kill-service)
      (($# == 1)) || usage_error 'kill-service takes one service'
      check_services "$1"
      lock
      kill_service "$1"
      ;;
    freeze-service | thaw-service)
      (($# == 1)) || usage_error "$action takes one service"
      check_services "$1"
      lock
      if [[ $action == freeze-service ]]; then freeze_service "$1" STOP; else freeze_service "$1" CONT; fi
      ;;
    connector)
      (($# <= 1)) || usage_error 'connector takes one file'
      connector "${1:-$default_connector}"
      ;;
    serve)
      (($# == 1)) || usage_error 'serve takes one service'
      check_services "$1"
      lock
      serve "$1"
      ;;
    logs)
      (($# <= 1)) || usage_error 'logs takes one service'
      check_services "$@"
      logs "$@"
      ;;
    status | connector-state | env | reset)
      (($# == 0)) || usage_error "$action takes no argument"
      case $action in
        status) status ;;
        connector-state) default_connector_state ;;
        env) print_env ;;
        reset) if [[ -d $STATE_DIR ]]; then lock && reset; fi ;;
      esac
      ;;
    -h | --help | help) usage ;;
    *) usage_error "unknown command '$action'" ;;
  esac
}

main "$@"
