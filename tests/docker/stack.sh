#!/usr/bin/env bash
# The container path as a user takes it. Runs where an engine answers (tests/docker/engine.sh exec), on the images that
# the project's own files make, in a copy of the project whose path has a space. Whichever Compose answers is used.
# shellcheck disable=SC2016  # the shells in the containers expand what stands in single quotes
set -uo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/support/expect.sh
. "$project/tests/support/expect.sh"

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

sql() { # source|target QUERY
  compose exec -T "$1" sh -c 'PGPASSWORD=postgres exec psql -X -At -q -h 127.0.0.1 -p "$0" -U postgres "$1" -c "$2"' \
    "$([[ $1 == source ]] && echo 5432 || echo 5433)" "$1_db" "$2"
}

# The daemon's HTTP, as one who has its token.
ask() { # PATH CURL-OPTION...
  curl --noproxy '*' -sS -H "Authorization: Bearer $(sed -n 's/^HTTP_TOKEN=//p' .env)" "http://127.0.0.1:8000$1" "${@:2}"
}

watch_runs() { [[ $(ask /consumer/list) == *'"consumer_id":"watch"'*'"state":"running"'* ]]; }

in_lockstepd() { compose exec -T lockstepd "$@"; }

target_has() { # QUERY EXPECTED
  [[ $(sql target "$1") == "$2" ]]
}

inspect() { docker inspect -f "$1" "$(compose ps -aq "$2" 2>/dev/null || compose ps -q "$2")"; } # FORMAT SERVICE

health_is() { [[ $(inspect '{{.State.Health.Status}}' "$1") == "$2" ]]; } # SERVICE STATUS

log_has() { grep -q -- "$2" <<<"$(compose logs "$1" 2>&1)"; } # SERVICE TEXT

cd "$project" || exit 1
work_in_copy "$project/build/docker/stack"
unset SOURCE_PORT TARGET_PORT KAFKA_PORT CONNECT_PORT REDIS_PORT HTTP_PORT
printf '%s\n' "with $(compose version 2>&1 | head -n 1)"

# The first start, one port moved, and what its end tells one to try.
expect 0 'holds what the source holds: 5 users, 6 orders, 5 super_heroes, 3 package_status' env SOURCE_PORT=15432 ./setup.sh --engine docker
((failures == 0)) || end_of_checks # without a stack there is nothing to look at
expect_that "the moved port is in .env" grep -q '^SOURCE_PORT=15432$' .env
expect_that "the page's token is in .env" grep -qE '^HTTP_TOKEN=[0-9a-f]{32}$' .env
expect 0 '"topics":\[\{' ask /topics
expect 0 'token needed' curl --noproxy '*' -sS http://127.0.0.1:8000/topics
expect 0 '"tables":\["public.users"\]' ask /pipelines/replica/tables/users/resync -X POST
expect 0 '"kept":true' ask /consumer/start -d '{"consumer_id": "watch", "kafka_topic": "dbserver1.public.users", "job_type": "console"}'
expect_that "the source is published there" bash -c 'exec 3<>/dev/tcp/127.0.0.1/15432'
expect 0 'All 12 changes arrived' in_lockstepd demo
expect 0 'Ada Lovelace' in_lockstepd check_target_db users
expect 0 'postgres-connector +RUNNING' in_lockstepd debug_kafka
expect 0 '^ready' in_lockstepd lockstepd --check
expect 0 'replica: all is in the target' in_lockstepd lockstepd wait
expect 0 'connector +RUNNING, task RUNNING' ./setup.sh status
for service in source target kafka connect redis lockstepd; do
  expect_that "$service comes back after a reboot" test "$(inspect '{{.HostConfig.RestartPolicy.Name}}' $service)" = unless-stopped
  expect_that "$service does not run as root" test "$(compose exec -T $service id -u)" != 0
  eventually 30 "$service is healthy" health_is $service healthy
done

# The examples: a threshold pipeline that reaches Redis from the daemon's container, webhooks, a console.
expect 0 'wait in Redis +0, rows in the target [1-9]' examples/threshold/run.sh
expect 0 'lost 0, came twice 0, overtaken 0' env SLOW_SECONDS=1 examples/webhooks/run.sh 200
examples/customers/run.sh >customers.log 2>&1 &
eventually 60 "a console prints each change" grep -q 'read public.customers id=1 name="Ada"' customers.log
kill $!
wait $!

# The daemon crashes under load: Docker starts it again, and nothing is lost.
sql source "INSERT INTO orders (user_id, product_name, quantity, price) SELECT 1, 'crash ' || i, 1, 1 FROM generate_series(1, 20000) i" &
load=$!
kill -KILL "$(inspect '{{.State.Pid}}' lockstepd)"
wait "$load"
orders=$(sql source 'SELECT count(*) FROM orders') # and those of the examples
expect_that "there are 20000 more" test "$orders" -ge 20000
eventually 60 "all orders arrive after a crash" target_has 'SELECT count(*) FROM orders' "$orders"
expect_that "Docker has started it again" test "$(inspect '{{.RestartCount}}' lockstepd)" = 1

# Killed by its user it stays away, until `up`.
docker kill "$(compose ps -q lockstepd)" >/dev/null
sql source "UPDATE users SET name = 'Ada King' WHERE id = 1"
expect 0 "holds what the source holds: 5 users, $orders orders" ./setup.sh
expect_that "the change made meanwhile has arrived" target_has 'SELECT name FROM users WHERE id = 1' 'Ada King'

# A table that has stopped goes on with the next `up`.
sql target "ALTER TABLE users ADD CONSTRAINT not_her CHECK (name <> 'Ada Byron')"
sql source "UPDATE users SET name = 'Ada Byron' WHERE id = 1"
eventually 30 "the table stops" log_has lockstepd 'table stopped'
sql target 'ALTER TABLE users DROP CONSTRAINT not_her'
expect 0 'holds what the source holds' ./setup.sh
expect_that "it has gone on" target_has 'SELECT name FROM users WHERE id = 1' 'Ada Byron'

# A configuration that is wrong: said at once, not started over and over.
cp config/lockstep.yaml good.yaml
sed -i 's/topics:/topcis:/' config/lockstep.yaml
expect 1 'did you mean topics' ./setup.sh
eventually 30 "its container is unhealthy" health_is lockstepd unhealthy
expect_that "its container is not started over and over" test "$(inspect '{{.RestartCount}}' lockstepd)" = 0
cp good.yaml config/lockstep.yaml
expect 0 'holds what the source holds' ./setup.sh

# An edit in tools/ does not compile the daemon again.
printf '// edited\n' >>tools/demo.cpp
expect 0 'holds what the source holds' ./setup.sh
compiled=$(grep -A 1 'touch tools/CMakeLists.txt' .local/log/images.log)
expect_that "an edit in tools/ does not compile the daemon again" grep -qi 'cache' <<<"$compiled"

# Stopped and started: the data and the port stay.
expect 0 '' ./setup.sh down
expect_that "nothing runs" test -z "$(compose ps -q)"
expect 1 'the stack was made with --engine docker' ./setup.sh up --engine local
expect 0 "holds what the source holds: 5 users, $orders orders" ./setup.sh
eventually 30 "the consumer that was started over HTTP runs again" watch_runs
expect_that "the source is where it was" bash -c 'exec 3<>/dev/tcp/127.0.0.1/15432'
expect 2 "unknown service 'mysql'" ./setup.sh logs mysql

expect 0 'deleted' ./setup.sh reset
expect_that "no container is left" test -z "$(docker ps -aq)"
expect_that "no volume is left" test -z "$(docker volume ls -q)"
expect_that "neither data nor ports are left" test ! -e .local -a ! -e .env
end_of_checks
