#!/usr/bin/env bash
# Prints each change of a table as it happens. Ends with Ctrl-C.
set -euo pipefail
# shellcheck source=examples/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
(($# == 0)) || die "examples/customers/run.sh takes no argument: see its README.md"

sql source "
  SET client_min_messages = warning;
  CREATE TABLE IF NOT EXISTS customers (id serial PRIMARY KEY, name text NOT NULL, email text, balance numeric(10,2));
  ALTER TABLE customers REPLICA IDENTITY FULL;
  GRANT SELECT ON customers TO debezium;
  INSERT INTO customers (name, email, balance) SELECT 'Ada', 'ada@example.org', 1.50
    WHERE NOT EXISTS (SELECT FROM customers);"
if [[ -z $(sql source "SELECT 1 FROM pg_publication WHERE pubname = 'customers'") ]]; then
  sql source "CREATE PUBLICATION customers FOR TABLE customers"
fi
register examples/customers/connector.json

psql="PGPASSWORD=postgres psql -h localhost -p $(port SOURCE_PORT 5432)"
if [[ $engine == docker ]]; then
  psql="docker exec -e PGPASSWORD=postgres $(container_of source) psql -h localhost"
fi
printf 'change something in another terminal:\n  %s\n' \
  "$psql -U postgres source_db -c \"UPDATE customers SET balance = balance + 1\""
run_lockstepd examples/customers/lockstep.yaml
