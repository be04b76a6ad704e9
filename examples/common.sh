# What the examples share: the services as ./setup.sh has started them, with either engine. Sourced by them.
# shellcheck shell=bash

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$project" || exit

die() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

[[ -f .local/engine ]] || die "nothing runs yet: ./setup.sh first"

port() { # VARIABLE DEFAULT: where .env says that a service was moved to
  local value=${!1:-}
  if [[ -z $value && -f .env ]]; then value=$(sed -n "s/^$1=//p" .env | tail -n 1); fi
  printf '%s' "${value:-$2}"
}

source_sql() { # QUERY
  PGPASSWORD=postgres psql -X -At -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(port SOURCE_PORT 5432)" -U postgres \
    -d source_db -c "$1"
}

# Makes the connector, or changes it. FILE: what PUT /connectors/NAME/config takes.
register_connector() { # NAME FILE
  local answer
  answer=$(curl -sS --fail-with-body -X PUT -H 'Content-Type: application/json' --data @"$2" \
    "http://127.0.0.1:$(port CONNECT_PORT 8083)/connectors/$1/config") || die "connector $1: $answer"
}

# In the foreground, until Ctrl-C. CONFIG: a file under examples/.
run_lockstepd() { # CONFIG
  if [[ $(<.local/engine) == docker ]]; then
    exec docker compose run --rm --no-deps -v "$project/examples:/examples:ro" lockstepd lockstepd --config "/$1"
  fi
  exec build/bin/lockstepd --config "$1"
}
