#include "progress.hpp"

#include <algorithm>

namespace lockstep::postgres {

namespace {

// As in docs/operation.md, "Rights on the target".
constexpr auto create_schema = "CREATE SCHEMA IF NOT EXISTS lockstep";
constexpr auto create_progress =
    "CREATE TABLE IF NOT EXISTS lockstep.progress ("
    " pipeline text, topic text, partition integer,"
    " next_offset bigint NOT NULL,"
    " source_position text,"
    " source_time timestamptz,"
    " updated_at timestamptz NOT NULL,"
    " PRIMARY KEY (pipeline, topic, partition));"
    "COMMENT ON TABLE lockstep.progress IS "
    "'Moved in the transaction that applies the rows: all before next_offset is applied'";

// $1 pipeline, $2 topic, $3 partition, $4 next offset, $5 source position or '', $6 source time in
// µs or 0, $7 the offset that it must stand at.
constexpr auto begin_progress =
    "INSERT INTO lockstep.progress AS p VALUES ($1, $2, $3::integer, $4::bigint, "
    "nullif($5::text, ''), to_timestamp(nullif($6::bigint, 0) / 1e6), now()) "
    "ON CONFLICT DO NOTHING";
constexpr auto move_progress =
    "UPDATE lockstep.progress SET next_offset = $4::bigint, "
    "source_position = coalesce(nullif($5::text, ''), source_position), "
    "source_time = coalesce(to_timestamp(nullif($6::bigint, 0) / 1e6), source_time), "
    "updated_at = now() "
    "WHERE pipeline = $1 AND topic = $2 AND partition = $3::integer AND next_offset = $7::bigint";
constexpr auto read_progress =
    "SELECT next_offset FROM lockstep.progress "
    "WHERE pipeline = $1 AND topic = $2 AND partition = $3::integer";

}  // namespace

Progress::Progress(Session& session, std::string pipeline) : pipeline_{std::move(pipeline)} {
  {
    pqxx::work tx{session.connection()};
    // Asked first: IF NOT EXISTS wants the right to make it even where it is there.
    const auto there = tx.exec(
        "SELECT to_regnamespace('lockstep') IS NOT NULL, to_regclass('lockstep.progress') IS NOT "
        "NULL");
    if (!there[0][0].as<bool>()) tx.exec(create_schema);
    if (!there[0][1].as<bool>()) tx.exec(create_progress);
    tx.commit();
  }
  session.connection().prepare("begin_progress", begin_progress);
  session.connection().prepare("move_progress", move_progress);
  session.connection().prepare("read_progress", read_progress);
}

Positions Progress::read(pqxx::transaction_base& tx,
                         const std::vector<TopicPartition>& partitions) {
  Positions found;
  for (const auto& tp : partitions) {
    const auto row = run_prepared(tx, "read_progress", pipeline_, tp.topic, tp.partition);
    if (!row.empty()) found[tp] = NextOffset{row[0][0].as<std::int64_t>()};
  }
  return found;
}

bool Progress::move(pqxx::transaction_base& tx, const Slice& slice) {
  const auto& [topic, partition] = slice.partition;
  const auto moved =
      slice.expected
          ? run_prepared(tx, "move_progress", pipeline_, topic, partition, slice.next.value,
                         slice.source_position, slice.source_ts_us, slice.expected->value)
          : run_prepared(tx, "begin_progress", pipeline_, topic, partition, slice.next.value,
                         slice.source_position, slice.source_ts_us);
  return moved.affected_rows() == 1;
}

bool Progress::is_behind(pqxx::transaction_base& tx, const Batch& batch) {
  return std::all_of(batch.slices.begin(), batch.slices.end(), [&](const Slice& slice) {
    const auto now = read(tx, {slice.partition});
    return !now.empty() && now.begin()->second == slice.next;
  });
}

}  // namespace lockstep::postgres
