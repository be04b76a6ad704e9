#include "feed.hpp"

#include <chrono>

#include "catch.hpp"
#include "eventually.hpp"
#include "stack.hpp"

namespace lockstep::test {

namespace {

const std::string row_schema =
    R"({"type":"int64","optional":false,"field":"id"},{"type":"int64","optional":false,"field":"version"},{"type":"string","optional":true,"field":"note"})";

std::string envelope_schema(const std::string& topic) {
  const auto row = [&](const char* field) {
    return R"({"type":"struct","fields":[)" + row_schema + R"(],"optional":true,"name":")" + topic +
           R"(.Value","field":")" + field + "\"}";
  };
  return R"({"type":"struct","fields":[)" + row("before") + "," + row("after") + "," +
         R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},{"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},{"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"field":"sequence"},{"type":"string","optional":false,"field":"schema"},{"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},{"type":"int64","optional":true,"field":"lsn"}],"optional":false,"name":"io.debezium.connector.postgresql.Source","field":"source"},)"
         R"({"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"}],"optional":false,"name":")" +
         topic + R"(.Envelope","version":2})";
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

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
  return R"({"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],"optional":false,"name":")" +
         topic + R"(.Key"},"payload":{"id":)" + std::to_string(id) + "}}";
}

std::string Feed::value(char op, std::int64_t id, std::int64_t version,
                        const std::string& note) const {
  const std::string row = R"({"id":)" + std::to_string(id) + R"(,"version":)" +
                          std::to_string(version) + R"(,"note":")" + note + "\"}";
  const std::string lsn = std::to_string(1000 + version);
  const std::string time = std::to_string(now_ms());
  return R"({"schema":)" + envelope_schema(topic) + R"(,"payload":{"before":)" +
         (op == 'd' ? row : "null") + R"(,"after":)" + (op == 'd' ? "null" : row) +
         R"(,"source":{"version":"3.6.0.Final","connector":"postgresql","name":"feed","ts_ms":)" +
         time + R"(,"sequence":"[\")" + lsn + R"(\",\")" + lsn +
         R"(\"]","schema":"public","table":")" + name + R"(","txId":)" + std::to_string(version) +
         R"(,"lsn":)" + lsn + R"(},"op":")" + op + R"(","ts_ms":)" + time + "}}";
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
