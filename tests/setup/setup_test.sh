#!/usr/bin/env bash
# setup.sh and the tools as a user types them: in a copy of the project whose path has a space, on moved ports. The
# build is not part of it: cmake is a stub there, and the programs are those of build/bin.
# shellcheck disable=SC2016  # the stubs expand what stands in single quotes
set -uo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$project/build/test-setup
stacks=$project/build/test-stack
# shellcheck source=tests/support/expect.sh
. "$project/tests/support/expect.sh"
# shellcheck source=tools/stack/process.sh
. "$project/tools/stack/process.sh"
# shellcheck source=tests/support/ports.sh
. "$project/tests/support/ports.sh"

cd "$project" || exit 1
work_in_copy "$work"
trap 'remove_copy; rm -rf "$stacks/setup-$$" "$stacks/setup-$$-moved"' EXIT

sql() { # source|target QUERY
  local number=$SOURCE
  [[ $1 == source ]] || number=$TARGET
  PGPASSWORD=postgres psql -X -At -q -h 127.0.0.1 -p "$number" -U postgres "$1_db" -c "$2"
}

watch_runs() {
  [[ $(curl --noproxy '*' -sS "http://127.0.0.1:$HTTP/consumer/list") == *'"consumer_id":"watch"'*'"state":"running"'* ]]
}

target_has() { [[ $(sql target "$1") == "$2" ]]; } # QUERY EXPECTED

# --- packages.sh, with stubs for what it asks -----------------------------------------------------------------------

as_nobody() {
  if ((EUID == 0)); then setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; else "$@"; fi
}

stub() { # NAME BODY
  printf '#!/bin/sh\n%s\n' "$2" >"$work/stubs/$1"
  chmod 755 "$work/stubs/$1"
}

mkdir -p "$work/stubs" "$work/a tool"
cp "$project/tools/packages.sh" "$work/a tool/"
packages=("env" "PATH=$work/stubs:/usr/bin:/bin" "$work/a tool/packages.sh")
stub dpkg-query 'exit 1'
stub java 'exit 1'
stub apt-cache 'test "$2" = librdkafka-dev && echo "  Candidate: 2.0.2-1"'
stub sudo 'test "$1" = -n && exit 1; echo "sudo asked for: $*"'
expect 1 'sudo .*/a\\ tool/packages.sh build stack' as_nobody "${packages[@]}" build stack
expect 1 'postgresql maven|postgresql.*maven' as_nobody "${packages[@]}" stack
expect 0 'sudo asked for: .*/a tool/packages.sh stack' \
  as_nobody script -qec "$(printf '%q ' "${packages[@]}" stack)" /dev/null
stub apt-cache 'test "$2" = librdkafka-dev && echo "  Candidate: 1.8.0-1build1"'
expect 1 'too old to build lockstepd: its librdkafka is 1.8.0.*2.0.2' as_nobody "${packages[@]}" build
expect 2 'usage' as_nobody "${packages[@]}" nonsense

# --- the stack ------------------------------------------------------------------------------------------------------

mkdir -p build/bin .local/lib
for program in lockstepd demo check_target_db debug_kafka debug_messages dead_letters generate_changes; do ln "$project/build/bin/$program" build/bin/ || exit 1; done
# What the tests' stacks have fetched already.
if [[ -d $stacks/lib ]]; then cp -r "$stacks/lib/." .local/lib; fi
stub cmake 'echo not built here'
stub psql "echo \"\$*\" >>'$work/psql.log'; exec $(command -v psql) \"\$@\""
export PATH="$work/stubs:$PATH"
rm "$work/stubs"/{dpkg-query,java,apt-cache,sudo}

choose_ports "$stacks/setup-$$"
mapfile -t ports <"$stacks/setup-$$/ports"
port_in() { sed -n "s/^$2=//p" "$stacks/$1/ports"; } # STACK VARIABLE
SOURCE=$(port_in "setup-$$" SOURCE_PORT) TARGET=$(port_in "setup-$$" TARGET_PORT)
unset SOURCE_PORT TARGET_PORT KAFKA_PORT KAFKA_CONTROLLER_PORT CONNECT_PORT REDIS_PORT HTTP_PORT KAFKA_BROKERS TARGET_HOST TARGET_PASSWORD SOURCE_HOST \
  SOURCE_URL TARGET_URL CONNECT_URL REDIS_URL
# A proxy that nobody answers on must not matter on loopback.
export http_proxy=http://127.0.0.1:9

expect 2 "unknown command 'pu'" ./setup.sh pu
expect 2 "unknown engine 'podman'" ./setup.sh --engine podman
expect 2 "unknown option '--fast'" ./setup.sh up --fast
expect 2 "unknown service 'mysql'" ./setup.sh logs mysql
expect 1 'SOURCE_PORT=99999 is not a port number' env SOURCE_PORT=99999 ./setup.sh
expect 1 'no Docker engine answers here' env PATH="$work/stubs:/usr/bin:/bin" DOCKER_HOST=unix:///nonexistent ./setup.sh up --engine docker
stub docker 'test "$1" = info'
stub docker-compose 'exit 1'
expect 1 'Compose is missing' ./setup.sh up --engine docker
expect 0 'stopped' ./setup.sh status # nothing is remembered of that
rm "$work/stubs/docker" "$work/stubs/docker-compose"

expect 0 'holds what the source holds: 5 users, 6 orders, 5 super_heroes, 3 package_status' env "${ports[@]}" ./setup.sh --engine local
expect_that "moved ports are in .env" grep -q "^TARGET_PORT=$TARGET$" .env
expect 0 "lockstepd +running" ./setup.sh status
expect 0 "source +running +port $SOURCE" ./setup.sh status
expect 0 "redis +running +port $(port_in "setup-$$" REDIS_PORT)" ./setup.sh status
expect 0 'public.users +5 ' build/bin/check_target_db
expect 0 'All 12 changes arrived' build/bin/demo
HTTP=$(port_in "setup-$$" HTTP_PORT)
expect 0 '"status":"ok"' curl --noproxy '*' -sS "http://127.0.0.1:$HTTP/healthz"
expect 0 '<title>' curl --noproxy '*' -sS "http://127.0.0.1:$HTTP/"
expect 0 'lockstep_changes_applied_total.* [1-9]' curl --noproxy '*' -sS "http://127.0.0.1:$HTTP/metrics"
expect 0 'SuperMan +Clark Kent' build/bin/check_target_db super_heroes
expect 0 'postgres-connector +RUNNING +0 +RUNNING' build/bin/debug_kafka
expect 0 '"secret_identity": "Clark Kent"' build/bin/debug_messages super_heroes --limit 0
expect 0 '20 changes in' build/bin/generate_changes -Q 20 --table package_status
expect 0 '^ready' build/bin/lockstepd --config config/lockstep.yaml --check
expect 0 'replica: all is in the target' build/bin/lockstepd --config config/lockstep.yaml wait
expect 0 '"tables":\["public.users"\]' curl --noproxy '*' -sS -X POST "http://127.0.0.1:$HTTP/pipelines/replica/tables/users/resync"
expect_that "lockstepd works with a role of its own" \
  test "$(sql target "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'lockstep'")" = t
expect_that "psql was used, and no password is in what a process list shows of it" \
  eval "grep -q target_db '$work/psql.log' && ! grep -i 'password\|postgres:' '$work/psql.log'"

# What is started while it runs is there again when it has been stopped, below.
expect 0 '"kept":true' curl --noproxy '*' -sS "http://127.0.0.1:$HTTP/consumer/start" \
  -d '{"consumer_id": "watch", "kafka_topic": "dbserver1.public.users", "job_type": "console"}'

# A change while the daemon is down arrives with the next `up`, which proves it.
kill -KILL "$(cut -d ' ' -f 1 .local/run/lockstepd.pid)"
sql source "UPDATE users SET name = 'Ada King' WHERE id = 1"
expect 0 'holds what the source holds' ./setup.sh
expect_that "it has arrived" test "$(sql target 'SELECT name FROM users WHERE id = 1')" = 'Ada King'
expect 1 'the stack was made with --engine local' ./setup.sh up --engine docker

# Tables that came into the connector's list when it ran already, of a project that was younger: their rows arrive.
sql source "ALTER PUBLICATION lockstep DROP TABLE super_heroes, package_status; DROP TABLE super_heroes, package_status"
sql target "DROP TABLE super_heroes, package_status"
for side in source target; do sed -i '/03-more-tables.sql/d' ".local/$side.filled"; done
expect_that "the connector takes a shorter list" curl --noproxy '*' -fs -o /dev/null -X PUT -H 'Content-Type: application/json' \
  -d "$(sed 's/,public.super_heroes,public.package_status//' debezium-config/postgres-connector.json)" \
  "http://127.0.0.1:$(port_in "setup-$$" CONNECT_PORT)/connectors/postgres-connector/config"
expect 0 '5 super_heroes, 3 package_status' ./setup.sh
expect 0 'SuperMan +Clark Kent' build/bin/check_target_db super_heroes

# A configuration that is wrong is shown, not waited for.
cp config/lockstep.yaml good.yaml
sed -i 's/topics:/topcis:/' config/lockstep.yaml
expect 1 'did you mean topics' ./setup.sh
mv good.yaml config/lockstep.yaml

# Stopped, moved and with another pom.xml: the data stays, and Connect has its plugins.
expect 0 '' ./setup.sh down
expect 0 'source +stopped' ./setup.sh status
printf '<!-- edited -->\n' >>tools/stack/pom.xml
choose_ports "$stacks/setup-$$-moved"
SOURCE=$(port_in "setup-$$-moved" SOURCE_PORT)
expect 0 'holds what the source holds: 5 users' env "SOURCE_PORT=$SOURCE" ./setup.sh
eventually 30 "the consumer that was started over HTTP runs again" watch_runs
sql source "INSERT INTO users (name, email) VALUES ('Alan Turing', 'alan@example.com')"
eventually 30 "a change after the move arrives" target_has 'SELECT count(*) FROM users' 6

expect 0 'deleted' ./setup.sh reset
expect_that "reset leaves neither data nor ports" test ! -e .local -a ! -e .env
expect_that "nothing listens any more" eval "! port_taken $SOURCE && ! port_taken $TARGET"

end_of_checks
