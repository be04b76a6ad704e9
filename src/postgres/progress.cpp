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

constexpr auto create_parked =
    "CREATE TABLE IF NOT EXISTS lockstep.parked ("
    " pipeline text, topic text, row_key text,"
    " letters bigint NOT NULL DEFAULT 1,"
    " partition integer NOT NULL, first_offset bigint NOT NULL, last_offset bigint NOT NULL,"
    " error text NOT NULL,"
    " since timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (pipeline, topic, row_key));"
    "COMMENT ON TABLE lockstep.parked IS "
    "'Rows of which a change is a dead letter: later ones go there too, until the key is let go'";

// $1 pipeline, $2 topic, $3 key, $4 partition, $5 offset, $6 error.
constexpr auto park_first =
    "INSERT INTO lockstep.parked AS p "
    "(pipeline, topic, row_key, partition, first_offset, last_offset, error) "
    "VALUES ($1, $2, $3, $4::integer, $5::bigint, $5::bigint, $6) "
    "ON CONFLICT (pipeline, topic, row_key) "
    "DO UPDATE SET letters = p.letters + 1, last_offset = excluded.last_offset";
constexpr auto park_behind =
    "UPDATE lockstep.parked SET letters = letters + 1, last_offset = $5::bigint "
    "WHERE pipeline = $1 AND topic = $2 AND row_key = $3 AND partition = $4::integer";
constexpr auto read_parked =
    "SELECT row_key FROM lockstep.parked WHERE pipeline = $1 AND topic = $2";
constexpr auto list_parked =
    "SELECT topic, row_key, partition, first_offset, last_offset, letters, error, since::text "
    "FROM lockstep.parked WHERE pipeline = $1 ORDER BY topic, since, first_offset";
constexpr auto release_parked =
    "DELETE FROM lockstep.parked WHERE pipeline = $1 AND topic = $2 AND row_key = $3 "
    "AND first_offset = $4::bigint AND last_offset = $5::bigint";
constexpr auto unpark = "DELETE FROM lockstep.parked WHERE pipeline = $1 AND topic = $2";

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

Parking::Parking(Session& session, std::string pipeline) : pipeline_{std::move(pipeline)} {
  {
    pqxx::work tx{session.connection()};
    const auto there = tx.exec("SELECT to_regclass('lockstep.parked') IS NOT NULL");
    if (!there[0][0].as<bool>()) tx.exec(create_parked);
    tx.commit();
  }
  session.connection().prepare("park_first", park_first);
  session.connection().prepare("park_behind", park_behind);
  session.connection().prepare("read_parked", read_parked);
  session.connection().prepare("unpark", unpark);
}

ParkedKeys Parking::read(pqxx::transaction_base& tx, const std::set<std::string>& topics) {
  ParkedKeys parked;
  for (const auto& topic : topics) {
    for (const auto& row : run_prepared(tx, "read_parked", pipeline_, topic)) {
      parked[topic].insert(row[0].c_str());
    }
  }
  return parked;
}

bool Parking::park(pqxx::transaction_base& tx, const Batch& batch) {
  if (batch.unparks) {
    for (const Slice& slice : batch.slices) {
      run_prepared(tx, "unpark", pipeline_, slice.partition.topic);
    }
  }
  for (const Letter& letter : batch.letters) {
    if (letter.row_key.empty()) continue;
    const bool is_behind = letter.stage == Letter::Stage::parked;
    const std::string topic{letter.topic};
    const std::string key{letter.row_key};
    const auto parked =
        is_behind ? run_prepared(tx, "park_behind", pipeline_, topic, key, letter.partition,
                                 letter.offset.value)
                  : run_prepared(tx, "park_first", pipeline_, topic, key, letter.partition,
                                 letter.offset.value, std::string{letter.error});
    if (parked.affected_rows() != 1) return false;
  }
  return true;
}

std::vector<ParkedRow> Parking::rows(pqxx::transaction_base& tx) {
  std::vector<ParkedRow> rows;
  for (const auto& row : query(tx, list_parked, pipeline_)) {
    rows.push_back({row[0].c_str(),
                    row[1].c_str(),
                    row[2].as<std::int32_t>(),
                    {row[3].as<std::int64_t>()},
                    {row[4].as<std::int64_t>()},
                    row[5].as<std::int64_t>(),
                    row[6].c_str(),
                    row[7].c_str()});
  }
  return rows;
}

bool Parking::release(pqxx::transaction_base& tx, const ParkedRow& row) {
  return query(tx, release_parked, pipeline_, row.topic, row.row_key, row.first_offset.value,
               row.last_offset.value)
             .affected_rows() == 1;
}

}  // namespace lockstep::postgres
