# What the examples share: the services as ./setup.sh has started them, with either engine. Sourced by them.
# shellcheck shell=bash

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$project" || exit
# shellcheck source=tools/stack/connector.sh
. tools/stack/connector.sh

die() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

[[ -f .local/engine ]] || die "nothing runs yet: ./setup.sh first"
engine=$(<.local/engine)

port() { # VARIABLE DEFAULT: where .env says that a service was moved to
  local value=${!1:-}
  if [[ -z $value && -f .env ]]; then value=$(sed -n "s/^$1=//p" .env | tail -n 1); fi
  printf '%s' "${value:-$2}"
}

container_of() { # SERVICE
  docker ps --format '{{.Names}}' --filter "label=com.docker.compose.project.working_dir=$project" \
    --filter "label=com.docker.compose.service=$1"
}

# Not Compose's exec: docker-compose takes a second for each.
in_container() { # SERVICE COMMAND...
  local container
  container=$(container_of "$1")
  [[ -n $container ]] || die "the container of $1 does not run: ./setup.sh starts it"
  docker exec -e PGPASSWORD=postgres "$container" "${@:2}"
}

# sql source|target QUERY: with the container's psql, if it is in one: the machine may have none.
sql() {
  local number=5432 variable=SOURCE_PORT command=(psql)
  if [[ $1 == target ]]; then number=5433 variable=TARGET_PORT; fi
  if [[ $engine == docker ]]; then
    command=(in_container "$1" psql)
  else
    number=$(port $variable $number)
  fi
  PGPASSWORD=postgres "${command[@]}" -X -At -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$number" -U postgres -d "$1_db" -c "$2" \
    </dev/null
}

sql source "SELECT 1" >/dev/null || die "the source does not answer: ./setup.sh status says what runs, ./setup.sh starts it"

redis() { # COMMAND...
  if [[ $engine == docker ]]; then
    in_container redis redis-cli "$@"
  else
    redis-cli -p "$(port REDIS_PORT 6379)" "$@"
  fi
}

# Makes the connector, or changes it, and waits until it runs.
register() { # FILE
  register_connector "http://127.0.0.1:$(port CONNECT_PORT 8083)" "$1" || die "the connector does not run"
}

# In the foreground, until Ctrl-C or SIGTERM, beside the daemon of ./setup.sh. CONFIG: a file under examples/.
run_lockstepd() { # CONFIG
  if [[ $engine == docker ]]; then
    # Not by Compose, whose plugin leaves the container behind when it is sent SIGTERM. In the machine's network, where
    # the services' ports are, and the webhooks' destinations.
    exec docker run --rm --network host -e "KAFKA_BROKERS=localhost:$(port KAFKA_PORT 9092)" \
      -e "TARGET_PORT=$(port TARGET_PORT 5433)" -e "REDIS_PORT=$(port REDIS_PORT 6379)" -e STATE_DIRECTORY= \
      -v "$project/examples:/examples:ro" lockstepd lockstepd --config "/$1"
  fi
  exec build/bin/lockstepd --config "$1"
}
