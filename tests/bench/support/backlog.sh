# shellcheck shell=bash disable=SC2034,SC2154 # those that source it use the variables; common.sh is sourced before
# A backlog that a real Debezium has written to Kafka, and whether it is on the target. Sourced by benches.
#
#   TABLES=2     the backlog is spread over two tables
#   HOT=1        400,000 updates of 1,000 rows; else 500,000 inserts, 100,000 updates and 50,000 deletes with their
#                tombstones, 700,000 messages

spread=${TABLES:-1}
case $spread in
  1) tables=(orders) ;;
  2) tables=(orders orders2) ;;
  *) die "TABLES is 1 or 2, not $spread" ;;
esac
topics=$(printf ', dbserver1.public.%s' users "${tables[@]}")
topics=${topics#, }

make_tables() {
  ((spread == 2)) || return 0
  source_sql "CREATE TABLE orders2 (LIKE orders INCLUDING ALL); GRANT SELECT ON orders2 TO debezium;
              ALTER PUBLICATION lockstep ADD TABLE orders2"
  target_sql "CREATE TABLE orders2 (LIKE orders INCLUDING ALL)"
}

insert_rows() { # TABLE COUNT
  source_sql "INSERT INTO $1 (user_id, product_name, quantity, price, status)
              SELECT 1 + i % 5, 'Product number ' || i, 1 + i % 7, i % 1000 + 0.25, 'paid'
              FROM generate_series(1, $2) i"
}

make_backlog() {
  local table
  printf 'making the backlog …\n'
  for table in "${tables[@]}"; do
    if [[ ${HOT:-0} == 1 ]]; then
      insert_rows "$table" $((1000 / spread))
      source_sql "DO \$\$ BEGIN
                    FOR i IN 1..400 LOOP UPDATE $table SET quantity = i WHERE product_name LIKE 'Product%'; COMMIT; END LOOP;
                  END \$\$"
    else
      insert_rows "$table" $((500000 / spread))
      source_sql "UPDATE $table SET status = 'shipped', quantity = quantity + 1
                  WHERE id BETWEEN 1000 AND 999 + $((100000 / spread))"
      source_sql "DELETE FROM $table WHERE id BETWEEN $((200000 / spread)) AND $((250000 / spread)) - 1"
    fi
    source_sql "INSERT INTO $table (user_id, product_name, quantity, price) VALUES (1, 'the last one', 1, 1)"
  done
  until_true 300 'Debezium to write all changes to Kafka' debezium_is_at "$(source_sql 'SELECT pg_current_wal_lsn()')"
  messages=$([[ ${HOT:-0} == 1 ]] && echo 401000 || echo 700000)
}

debezium_is_at() { [[ $(source_sql "SELECT coalesce(bool_and(confirmed_flush_lsn >= '$1'), false) FROM pg_replication_slots") == t ]]; }

# A query that is true when the last row of each table is on the target: by key, so that asking takes nothing.
last_rows_query() {
  local table query=true
  for table in "${tables[@]}"; do
    query+=" AND EXISTS (SELECT FROM $table WHERE id = $(source_sql "SELECT max(id) FROM $table"))"
  done
  printf 'SELECT %s' "$query"
}

last_rows_arrived() { [[ $(target_sql "$last_rows") == t ]]; }

check_equal() {
  local table query
  for table in "${tables[@]}"; do
    query="SELECT count(*), sum(quantity), sum(price) FROM $table"
    [[ $(source_sql "$query") == "$(target_sql "$query")" ]] || die "source and target differ: $table"
  done
}

# Starts the stack, and makes the backlog; sets messages and last_rows.
start_with_backlog() {
  start_stack source target kafka connect
  make_tables
  sed "s/\"table.include.list\": \".*\"/\"table.include.list\": \"$(printf 'public.%s,' "${tables[@]}")public.users\"/" \
    "$connector" >"$work/connector.json"
  "$project/tests/stack.sh" connector "$bench" "$work/connector.json"
  make_backlog
  last_rows=$(last_rows_query)
}
