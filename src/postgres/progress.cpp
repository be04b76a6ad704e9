#include "progress.hpp"

#include <algorithm>

#include "lockstep/postgres/catalog.hpp"
#include "refused.hpp"

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
    " source_schema text,"
    " source_table text,"
    " several_tables boolean,"
    " PRIMARY KEY (pipeline, topic, partition));"
    "COMMENT ON TABLE lockstep.progress IS "
    "'Moved in the transaction that applies the rows: all before next_offset is applied'";

// What the table of an older version lacks.
constexpr auto upgrade_progress =
    "ALTER TABLE lockstep.progress ADD COLUMN IF NOT EXISTS source_schema text, "
    "ADD COLUMN IF NOT EXISTS source_table text, ADD COLUMN IF NOT EXISTS several_tables boolean";
constexpr auto is_upgraded =
    "SELECT count(*) = 3 FROM pg_attribute WHERE attrelid = 'lockstep.progress'::regclass "
    "AND attname IN ('source_schema', 'source_table', 'several_tables') AND NOT attisdropped";

// $1 pipeline, $2 topic, $3 partition, $4 next offset, $5 source position or '', $6 source time in
// µs or 0, $7 schema and $8 table of the newest change or '', $9 whether there were others before
// it, $10 the offset that it must stand at.
constexpr auto begin_progress =
    "INSERT INTO lockstep.progress (pipeline, topic, partition, next_offset, source_position, "
    "source_time, updated_at, source_schema, source_table, several_tables) "
    "VALUES ($1, $2, $3::integer, $4::bigint, nullif($5::text, ''), "
    "to_timestamp(nullif($6::bigint, 0) / 1e6), now(), CASE WHEN $8::text <> '' THEN $7::text END, "
    "nullif($8::text, ''), CASE WHEN $8::text <> '' THEN $9::boolean END) ON CONFLICT DO NOTHING";
constexpr auto move_progress =
    "UPDATE lockstep.progress SET next_offset = $4::bigint, "
    "source_position = coalesce(nullif($5::text, ''), source_position), "
    "source_time = coalesce(to_timestamp(nullif($6::bigint, 0) / 1e6), source_time), "
    "updated_at = now(), "
    "source_schema = CASE WHEN $8::text = '' THEN source_schema ELSE $7::text END, "
    "source_table = coalesce(nullif($8::text, ''), source_table), "
    "several_tables = CASE WHEN $8::text = '' THEN several_tables ELSE $9::boolean "
    "OR coalesce(several_tables, false) "
    "OR coalesce((source_schema, source_table) <> ($7::text, $8::text), false) END "
    "WHERE pipeline = $1 AND topic = $2 AND partition = $3::integer AND next_offset = $10::bigint";
constexpr auto read_progress =
    "SELECT next_offset, source_schema, source_table, coalesce(several_tables, false) "
    "FROM lockstep.progress WHERE pipeline = $1 AND topic = $2 AND partition = $3::integer";

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
    "SELECT topic, row_key, partition, first_offset, last_offset, letters, error, since::text, "
    "source_schema, source_table, coalesce(several_tables, false) "
    "FROM lockstep.parked LEFT JOIN lockstep.progress USING (pipeline, topic, partition) "
    "WHERE pipeline = $1 ORDER BY topic, since, first_offset";
constexpr auto release_parked =
    "DELETE FROM lockstep.parked WHERE pipeline = $1 AND topic = $2 AND row_key = $3 "
    "AND first_offset = $4::bigint AND last_offset = $5::bigint";
constexpr auto unpark = "DELETE FROM lockstep.parked WHERE pipeline = $1 AND topic = $2";

}  // namespace

std::string why_not_upgraded(pqxx::transaction_base& tx) {
  if (tx.exec(is_upgraded)[0][0].as<bool>() || owns(tx, {"lockstep", "progress"})) return {};
  return std::string{
             "lockstep.progress is of an older version, and the role may not alter it: have "
             "its owner run "} +
         upgrade_progress;
}

namespace {

/// In the columns from `first` on: schema, table, whether there are several.
std::optional<SourceTables> source_tables(const pqxx::row& row, pqxx::row::size_type first) {
  if (row[first + 1].is_null()) return std::nullopt;
  return SourceTables{{row[first].c_str(), row[first + 1].c_str()}, row[first + 2].as<bool>()};
}

}  // namespace

Progress::Progress(Session& session, std::string pipeline) : pipeline_{std::move(pipeline)} {
  {
    pqxx::work tx{session.connection()};
    // Asked first: IF NOT EXISTS wants the right to make it even where it is there.
    const auto there = tx.exec(
        "SELECT to_regnamespace('lockstep') IS NOT NULL, to_regclass('lockstep.progress') IS NOT "
        "NULL");
    if (!there[0][0].as<bool>()) tx.exec(create_schema);
    if (!there[0][1].as<bool>()) {
      tx.exec(create_progress);
    } else if (auto why_not = why_not_upgraded(tx); !why_not.empty()) {
      throw Refused{std::move(why_not)};
    } else if (!tx.exec(is_upgraded)[0][0].as<bool>()) {
      tx.exec(upgrade_progress);
    }
    tx.commit();
  }
  session.connection().prepare("begin_progress", begin_progress);
  session.connection().prepare("move_progress", move_progress);
  session.connection().prepare("read_progress", read_progress);
}

SinkPositions Progress::read(pqxx::transaction_base& tx,
                             const std::vector<TopicPartition>& partitions) {
  SinkPositions found;
  for (const auto& tp : partitions) {
    const auto row = run_prepared(tx, "read_progress", pipeline_, tp.topic, tp.partition);
    if (row.empty()) continue;
    SinkPosition& position = found[tp];
    position.next = {row[0][0].as<std::int64_t>()};
    position.tables = source_tables(row[0], 1);
  }
  return found;
}

bool Progress::move(pqxx::transaction_base& tx, const Slice& slice) {
  const auto& [topic, partition] = slice.partition;
  const Relation table = slice.relation != nullptr ? *slice.relation : Relation{};
  const auto moved =
      slice.expected
          ? run_prepared(tx, "move_progress", pipeline_, topic, partition, slice.next.value,
                         slice.source_position, slice.source_ts_us, table.schema, table.table,
                         slice.has_several_relations, slice.expected->value)
          : run_prepared(tx, "begin_progress", pipeline_, topic, partition, slice.next.value,
                         slice.source_position, slice.source_ts_us, table.schema, table.table,
                         slice.has_several_relations);
  return moved.affected_rows() == 1;
}

bool Progress::is_behind(pqxx::transaction_base& tx, const Batch& batch) {
  return std::all_of(batch.slices.begin(), batch.slices.end(), [&](const Slice& slice) {
    const auto now = read(tx, {slice.partition});
    return !now.empty() && now.begin()->second.next == slice.next;
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
                    row[7].c_str(),
                    source_tables(row, 8)});
  }
  return rows;
}

bool Parking::release(pqxx::transaction_base& tx, const ParkedRow& row) {
  return query(tx, release_parked, pipeline_, row.topic, row.row_key, row.first_offset.value,
               row.last_offset.value)
             .affected_rows() == 1;
}

}  // namespace lockstep::postgres
