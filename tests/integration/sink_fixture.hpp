#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "catch.hpp"
#include "database.hpp"
#include "lockstep/postgres/sink.hpp"
#include "stack.hpp"

/// Batches by hand, and a target table for each test of the sink.
namespace lockstep::test {

inline const Layout id_key{{{"id", ValueType::integer, "int32", ""}}};
inline const Layout id_and_v{
    {{"id", ValueType::integer, "int32", ""}, {"v", ValueType::text, "string", ""}}};

/// A batch by hand: of one partition of topic "t", from one offset to another.
class Made {
 public:
  Made(const Relation& relation, std::optional<std::int64_t> expected, std::int64_t next)
      : relation_{relation} {
    std::optional<NextOffset> from;
    if (expected) from = NextOffset{*expected};
    Slice slice;
    slice.partition = {"t", 0};
    slice.expected = from;
    slice.next = {next};
    slice.source_ts_us = 1'700'000'000'000'000;
    slice.source_position = R"(["1","2"])";
    batch.slices.push_back(slice);
  }
  Made& upsert(int id, std::string_view v) {
    Change& change = add(Op::create, id);
    const Cell cells[] = {change.key[0], Cell{batch.arena.copy(v)}};
    change.row_layout = row_layout;
    change.row = batch.arena.copy(std::span<const Cell>{cells});
    return *this;
  }
  Made& remove(int id) {
    add(Op::remove, id);
    return *this;
  }
  Made& truncate() {
    batch.changes.push_back({});
    batch.changes.back().op = Op::truncate;
    batch.changes.back().relation = &relation_;
    return *this;
  }

  Batch batch;
  const Layout* row_layout = &id_and_v;  ///< of two columns, id first

 private:
  Change& add(Op op, int id) {
    const Cell key[] = {Cell{batch.arena.copy(std::to_string(id))}};
    Change change;
    change.op = op;
    change.relation = &relation_;
    change.offset = {batch.slices[0].expected.value_or(NextOffset{0}).value +
                     static_cast<std::int64_t>(batch.changes.size())};
    change.key_layout = &id_key;
    change.key = batch.arena.copy(std::span<const Cell>{key});
    change.key_bytes = key[0].view();
    batch.changes.push_back(change);
    return batch.changes.back();
  }

  const Relation& relation_;
};

/// A target table and a pipeline of the test's own.
struct Fixture {
  explicit Fixture(const std::string& name)
      : relation{"sink_test", name}, table{"sink_test." + name} {
    target.exec("CREATE SCHEMA IF NOT EXISTS sink_test; DROP TABLE IF EXISTS " + table + ";" +
                "CREATE TABLE " + table +
                " (id int PRIMARY KEY, v text CHECK (v <> 'bad'), synced_at timestamptz)");
    sink = open();
    // Makes schema lockstep where this is the first test.
    REQUIRE(sink->positions({{"t", 0}}));
    target.exec("DELETE FROM lockstep.progress WHERE pipeline = '" + table + "'");
  }

  std::unique_ptr<Sink> open() const {
    return postgres::make_sink({table, Stack::from_environment().target_url, "", "synced_at"});
  }
  std::string rows() {
    return target.text("SELECT coalesce(string_agg(id || ':' || v, ' ' ORDER BY id), '') FROM " +
                       table);
  }
  std::string progress() {
    return target.text(
        "SELECT coalesce(max(next_offset)::text, 'none') FROM lockstep.progress "
        "WHERE pipeline = '" +
        table + "'");
  }

  const Relation relation;
  const std::string table;
  Database target{Stack::from_environment().target_url};
  std::unique_ptr<Sink> sink;
};

inline SinkError::Kind kind_of(const Result<Done, SinkError>& result) {
  REQUIRE_FALSE(result.has_value());
  INFO(result.error().message);
  return result.error().kind;
}

}  // namespace lockstep::test
