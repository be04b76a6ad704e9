#include "feed.hpp"

#include <chrono>

#include "catch.hpp"
#include "eventually.hpp"
#include "record.hpp"
#include "stack.hpp"

namespace lockstep::test {

std::string create_audited_table(const std::string& name) {
  const std::string audit = name + "_audit";
  return "CREATE TABLE " + name +
         " (id bigint PRIMARY KEY, version bigint NOT NULL, note text, synced_at timestamptz);"
         "CREATE TABLE " +
         audit +
         " (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint, version bigint, op "
         "text);"
         "CREATE OR REPLACE FUNCTION " +
         audit +
         "_write() RETURNS trigger LANGUAGE plpgsql AS $$"
         " BEGIN INSERT INTO " +
         audit +
         " (id, version, op)"
         " VALUES (coalesce(NEW.id, OLD.id), coalesce(NEW.version, OLD.version), TG_OP);"
         " RETURN NULL; END $$;"
         "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON " +
         name + " FOR EACH ROW EXECUTE FUNCTION " + audit + "_write()";
}

void check_only_forward(Database& target, const std::string& name) {
  const Rows wrong = target.exec(
      "SELECT seq, id, version, before FROM (SELECT seq, id, version, op, "
      "lag(version) OVER (PARTITION BY id ORDER BY seq) AS before FROM " +
      name +
      "_audit) AS a "
      "WHERE CASE op WHEN 'DELETE' THEN version < before ELSE version <= before END LIMIT 5");
  for (const auto& row : wrong) {
    UNSCOPED_INFO(name << " write " << *row[0] << ", id " << *row[1] << ": version " << *row[2]
                       << " after version " << *row[3]);
  }
  REQUIRE(wrong.empty());
}

std::int64_t progress(Database& target, const std::string& pipeline, const std::string& topic,
                      int partition) {
  if (target.text("SELECT to_regclass('lockstep.progress') IS NULL") == "t") return 0;
  return target.number(
      "SELECT coalesce(max(next_offset), 0) FROM lockstep.progress WHERE pipeline = '" + pipeline +
      "' AND topic = '" + topic + "' AND partition = " + std::to_string(partition));
}

Feed::Feed(Kafka& kafka, Database& target, const std::string& table_name, int partitions)
    : name{unique(table_name)},
      topic{"feed.public." + name},
      kafka_{kafka},
      partitions_{partitions} {
  target.exec(create_audited_table(name));
  kafka_.create_topic(topic, partitions);
}

std::string Feed::key(std::int64_t id) const {
  return record_key(topic, id);
}

std::string Feed::value(char op, std::int64_t id, std::int64_t version,
                        const std::string& note) const {
  return record_value(topic, name, op, id, version, note);
}

void Feed::upsert(std::int64_t id, const std::string& note) {
  const char op = truth_.contains(id) ? 'u' : 'c';
  truth_[id] = {++version_, note};
  kafka_.produce(topic, partition_of(id), key(id), value(op, id, version_, note));
}

void Feed::remove(std::int64_t id) {
  const std::int64_t version = truth_.at(id).version;
  truth_.erase(id);
  kafka_.produce(topic, partition_of(id), key(id), value('d', id, version, ""));
  kafka_.produce(topic, partition_of(id), key(id), std::nullopt);  // Debezium's tombstone
}

void Feed::truncate() {
  truth_.clear();
  kafka_.produce(topic, 0, std::nullopt, value('t', 0, ++version_, ""));
}

void Feed::load(int count, int ids, unsigned seed) {
  std::minstd_rand random{seed};
  for (int i = 0; i < count; ++i) {
    const auto id = static_cast<std::int64_t>(random() % static_cast<unsigned>(ids));
    if (truth_.contains(id) && random() % 10 == 0) {
      remove(id);
    } else {
      upsert(id, "change " + std::to_string(i));
    }
  }
  kafka_.flush();
}

void Feed::await_equal(Database& target, int seconds) const {
  std::int64_t sum = 0;
  for (const auto& [id, state] : truth_) sum += state.version;
  const std::string want = std::to_string(truth_.size()) + " rows, versions " + std::to_string(sum);
  eventually(std::chrono::seconds{seconds}, name + " has " + want, [&]() -> std::string {
    auto have = target.text(
        "SELECT count(*) || ' rows, versions ' || coalesce(sum(version), 0) FROM " + name);
    return have == want ? "" : have;
  });
  const Rows rows =
      target.exec("SELECT id, version, note, synced_at IS NOT NULL FROM " + name + " ORDER BY id");
  REQUIRE(rows.size() == truth_.size());
  std::size_t at = 0;
  for (const auto& [id, state] : truth_) {
    const Row want_row{std::to_string(id), std::to_string(state.version), state.note, "t"};
    if (rows[at] != want_row) {
      FAIL(name << " id " << id << ": version " << rows[at][1].value_or("NULL") << " instead of "
                << state.version);
    }
    ++at;
  }
}

}  // namespace lockstep::test
