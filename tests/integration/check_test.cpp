// lockstepd --check on real records and real tables: what would stop the daemon is told before.
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;

namespace {

/// `text` with each % replaced.
std::string filled(std::string text, const std::string& with) {
  for (auto at = text.find('%'); at != std::string::npos; at = text.find('%', at + with.size())) {
    text.replace(at, 1, with);
  }
  return text;
}

struct Checked {
  explicit Checked(const std::string& name) : pipeline{unique(name)} {}

  Feed& add(const std::string& name, int partitions = 1) {
    return *feeds.emplace_back(std::make_unique<Feed>(kafka, target, name, partitions));
  }
  Ended check(const std::vector<std::string>& more_topics = {}) const {
    std::vector<std::string> topics = more_topics;
    for (const auto& feed : feeds) topics.push_back(feed->topic);
    const auto file = fresh_folder(pipeline) / "lockstep.yaml";
    DaemonConfig config{pipeline, topics};
    config.sink = sink;
    std::ofstream{file} << to_yaml(config);
    return run_program("lockstepd", {"--config", file, "--check"});
  }

  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  const std::string pipeline;
  std::map<std::string, std::string> sink{{"missing_table", "pause"}, {"schema_change", "pause"}};
  std::vector<std::unique_ptr<Feed>> feeds;
};

/// The line of the feed's topic behind its name.
std::string line_of(const Ended& ended, const Feed& feed) {
  const std::string begin = "  " + feed.topic + ": ";
  const auto at = ended.out.find(begin);
  if (at == std::string::npos) return "no line in:\n" + ended.out;
  return ended.out.substr(at + begin.size(), ended.out.find('\n', at) - at - begin.size());
}

}  // namespace

TEST_CASE("--check: tables that fit are ok, and the pipeline's group does not notice") {
  Checked checked{"check_good"};
  Feed& one = checked.add("one");
  Feed& three = checked.add("three", 3);
  one.load(100, 20);
  three.load(100, 20);
  const auto look = [&] {
    const auto ended = checked.check();
    INFO(ended.out << ended.err);
    CHECK(ended.code == 0);
    CHECK(line_of(ended, one) == "1 partition -> public." + one.name + ": ok");
    CHECK(line_of(ended, three) == "3 partitions -> public." + three.name + ": ok");
    CHECK_THAT(ended.out, ContainsSubstring("  2 tables: 2 ok\nready\n"));
    CHECK(ended.err.empty());
  };
  const std::string group = "lockstep." + checked.pipeline;
  look();
  CHECK(checked.kafka.members(group) == 0);
  CHECK_FALSE(checked.kafka.committed(group, one.topic, 0));
  CHECK(one.progress(checked.target, checked.pipeline) == 0);

  Daemon daemon{checked.pipeline + "_daemon", DaemonConfig{checked.pipeline, {one.topic}}};
  one.await_equal(checked.target);
  look();
  CHECK(checked.kafka.members(group) == 1);
  CHECK(daemon.count_in_log("reading pipeline=") == 1);
  one.upsert(1);
  one.flush();
  one.await_equal(checked.target);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("--check: what does not fit is told with table, column, types and what to do") {
  struct Case {
    std::string name;
    std::string damage;              ///< % is the table
    std::vector<std::string> wants;  ///< the lines that follow, without the table's name
  };
  const Case cases[] = {
      {"missing", "DROP TABLE %", {"does not exist: create it"}},
      {"no_column",
       "ALTER TABLE % DROP COLUMN note",
       {"has no column \"note\" (string at the source): add it"}},
      {"wrong_type",
       "ALTER TABLE % ALTER version TYPE date USING NULL",
       {"has column \"version\" (date), which can't take the source's int64: make it bigint"}},
      {"not_null",
       "ALTER TABLE % ADD COLUMN extra int NOT NULL",
       {"has column \"extra\" (integer), NOT NULL without a default, which the source does not "
        "send: give it a default, or drop NOT NULL"}},
      {"no_key", "ALTER TABLE % DROP CONSTRAINT %_pkey", {"has no primary key: add one on (id)"}},
      {"other_key",
       "ALTER TABLE % DROP CONSTRAINT %_pkey; ALTER TABLE % ADD PRIMARY KEY (id, version)",
       {"has primary key (id, version) but the records' key is (id): ALTER TABLE \"public\".\"%\" "
        "DROP CONSTRAINT \"%_pkey\", ADD PRIMARY KEY (\"id\"), or set "
        "message.key.columns on the connector; a unique index on (id) will do, too, if all its "
        "columns are NOT NULL"}},
      {"not_stamped",
       "ALTER TABLE % DROP COLUMN synced_at",
       {"has no column \"synced_at\": set synced_at: \"\" in the pipeline's sink, or add it "
        "(timestamptz)"}},
      {"several",
       "ALTER TABLE % DROP COLUMN note, DROP COLUMN synced_at",
       {"has no column \"synced_at\": set synced_at: \"\" in the pipeline's sink, or add it "
        "(timestamptz)",
        "has no column \"note\" (string at the source): add it"}},
  };
  // Columns that only look as if nothing filled them.
  const std::string filled_elsewhere =
      "ALTER TABLE % ADD COLUMN a int NOT NULL DEFAULT 1,"
      " ADD COLUMN b int NOT NULL GENERATED ALWAYS AS IDENTITY,"
      " ADD COLUMN c bigint NOT NULL GENERATED ALWAYS AS (id + 1) STORED;"
      "CREATE FUNCTION %_fill() RETURNS trigger LANGUAGE plpgsql AS"
      " 'BEGIN NEW.d = 1; RETURN NEW; END';"
      "CREATE TRIGGER fill BEFORE INSERT ON % FOR EACH ROW EXECUTE FUNCTION %_fill();"
      "ALTER TABLE % ADD COLUMN d int NOT NULL";
  Checked checked{"check_bad"};
  for (const auto& c : cases) {
    Feed& feed = checked.add(c.name);
    feed.upsert(1);
    checked.target.exec(filled(c.damage, feed.name));
  }
  Feed& sound = checked.add("sound");
  sound.upsert(1);
  sound.flush();
  checked.target.exec(filled(filled_elsewhere, sound.name));

  const auto ended = checked.check();
  INFO(ended.out << ended.err);
  CHECK(ended.code == 1);
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    const std::string table = "public." + checked.feeds[i]->name;
    std::string lines = " -> " + table + ": FAILED\n";
    for (const auto& want : cases[i].wants) {
      lines += "    " + table + " " + filled(want, checked.feeds[i]->name) + "\n";
    }
    CHECK_THAT(ended.out, ContainsSubstring(lines + "  "));  // and no problem more
  }
  CHECK(line_of(ended, sound) == "1 partition -> public." + sound.name + ": ok");
  CHECK_THAT(ended.out, ContainsSubstring("  9 tables: 1 ok, 8 FAILED\nnot ready\n"));
  // The sound one first: what is wrong stands at the end, where it is seen.
  CHECK(ended.out.find(sound.topic) < ended.out.find(checked.feeds[0]->topic));

  // And what --check says is what the daemon does.
  Daemon daemon{checked.pipeline + "_daemon", DaemonConfig{checked.pipeline, {sound.topic}}};
  sound.await_equal(checked.target);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("--check: what the daemon will create and alter is told with its statements") {
  struct Case {
    std::string name;
    std::string change;              ///< % is the table
    std::string state;               ///< behind the table's name
    std::vector<std::string> wants;  ///< the lines that follow
  };
  const Case cases[] = {
      {"missing",
       "DROP TABLE %",
       "will be created",
       {"CREATE TABLE \"public\".\"%\" (\"id\" int8 NOT NULL, \"version\" int8 NOT NULL, "
        "\"note\" text, \"synced_at\" timestamptz, PRIMARY KEY (\"id\"))"}},
      {"no_column",
       "ALTER TABLE % DROP COLUMN note",
       "will be altered",
       {"ALTER TABLE \"public\".\"%\" ADD COLUMN \"note\" text"}},
      {"narrow",
       "ALTER TABLE % ALTER version TYPE int, ALTER note SET NOT NULL",
       "will be altered",
       {"ALTER TABLE \"public\".\"%\" ALTER COLUMN \"version\" TYPE int8, ALTER COLUMN \"note\" "
        "DROP "
        "NOT NULL"}},
      {"not_null",
       "ALTER TABLE % ADD COLUMN extra int NOT NULL",
       "will be altered",
       {"ALTER TABLE \"public\".\"%\" ALTER COLUMN \"extra\" DROP NOT NULL"}},
      {"renamed",
       "ALTER TABLE % RENAME version TO revision",
       "will be altered",
       {"ALTER TABLE \"public\".\"%\" RENAME COLUMN \"revision\" TO \"version\""}},
      {"unclear",
       "ALTER TABLE % DROP COLUMN synced_at, DROP COLUMN note, ADD COLUMN remark text",
       "FAILED",
       {"public.% has no column \"note\", and the source has no \"remark\" any more: was it "
        "renamed, "
        "or dropped and another one added? Run ALTER TABLE \"public\".\"%\" RENAME COLUMN "
        "\"remark\" "
        "TO \"note\", or ALTER TABLE \"public\".\"%\" ADD COLUMN \"note\" text"}},
      {"wrong_type",
       "ALTER TABLE % ALTER version TYPE date USING NULL",
       "FAILED",
       {"public.% has column \"version\" (date), which can't take the source's int64: ALTER TABLE "
        "\"public\".\"%\" ALTER COLUMN \"version\" TYPE int8 USING \"version\"::int8, if that is "
        "what "
        "the source did with its rows"}},
  };
  Checked checked{"check_evolves"};
  checked.sink.clear();
  for (const auto& c : cases) {
    Feed& feed = checked.add(c.name);
    feed.upsert(1);
    feed.flush();
    checked.target.exec(filled(c.change, feed.name));
  }
  const auto ended = checked.check({"no.such.topic"});
  INFO(ended.out << ended.err);
  CHECK(ended.code == 1);
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    const std::string& table = checked.feeds[i]->name;
    std::string lines = " -> public." + table + ": " + cases[i].state + "\n";
    for (const auto& want : cases[i].wants) lines += "    " + filled(want, table) + "\n";
    CHECK_THAT(ended.out, ContainsSubstring(lines + "  "));
  }
  CHECK_THAT(ended.out,
             ContainsSubstring(" -> such.topic: will be created: types can't be checked\n"));
  CHECK_THAT(ended.out, ContainsSubstring("  8 tables: 5 ok, 1 not checked, 2 FAILED\n"));
}

TEST_CASE("--check: two sources for one table, and rules that name what is not there") {
  Checked checked{"check_rules"};
  Feed& one = checked.add("one");
  Feed& two = checked.add("two");
  for (Feed* const feed : {&one, &two}) {
    feed->upsert(1);
    feed->flush();
  }
  checked.sink["tables"] = "[{match: public." + two.name + ", to: " + one.name +
                           ", columns: {exclude: [nonsense], rename: {note: remark}}}]";
  checked.sink["schema_change"] = "evolve";
  const auto ended = checked.check();
  INFO(ended.out << ended.err);
  CHECK(ended.code == 1);
  CHECK(line_of(ended, one) == "1 partition -> public." + one.name + ": ok");
  CHECK(line_of(ended, two) == "1 partition -> public." + one.name + ": FAILED");
  CHECK_THAT(ended.out,
             ContainsSubstring("    public." + one.name +
                               " gets no column \"nonsense\", which tables names: public." +
                               two.name + " has none of that name\n"));
  CHECK_THAT(
      ended.out,
      ContainsSubstring("    public." + one.name + " takes the rows of source table public." +
                        one.name + ", and those of public." + two.name + " would overwrite them"));
}

TEST_CASE("--check: rights that the role lacks are told") {
  Checked checked{"check_rights"};
  Feed& feed = checked.add("rights");
  feed.load(10, 5);
  const std::string role = checked.pipeline;
  checked.target.exec("CREATE ROLE " + role +
                      " LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA public TO " + role +
                      "; GRANT SELECT, INSERT ON " + feed.name + " TO " + role);
  const auto check = [&] {
    DaemonConfig config{checked.pipeline, {feed.topic}};
    config.target_url = Stack::from_environment().target_url;
    config.target_url.replace(config.target_url.find("postgres:postgres"), 17, role + ":r");
    const auto file = fresh_folder(checked.pipeline) / "lockstep.yaml";
    std::ofstream{file} << to_yaml(config);
    return run_program("lockstepd", {"--config", file, "--check"});
  };
  // Made by whoever was the first here.
  checked.target.exec("CREATE SCHEMA IF NOT EXISTS lockstep");
  auto ended = check();
  CHECK(ended.code == 1);
  CHECK_THAT(ended.out,
             ContainsSubstring("FAILED: on lockstep.progress, role " + role + " lacks ") &&
                 ContainsSubstring("docs/operation.md, Rights on the target\n"));

  checked.target.exec("GRANT USAGE, CREATE ON SCHEMA lockstep TO " + role);
  if (checked.target.text("SELECT to_regclass('lockstep.progress') IS NOT NULL") == "t") {
    checked.target.exec("GRANT SELECT, INSERT, UPDATE ON lockstep.progress TO " + role);
  }
  ended = check();
  CHECK(ended.code == 1);
  CHECK_THAT(ended.out, ContainsSubstring("public." + feed.name +
                                          " may not be written, lacking UPDATE, DELETE: docs/"));

  checked.target.exec("GRANT UPDATE, DELETE ON " + feed.name + " TO " + role);
  ended = check();
  INFO(ended.out);
  CHECK(ended.code == 0);
  checked.target.exec("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_CASE("--check: the newest row is found behind deletes, tombstones and truncates") {
  Checked checked{"check_behind"};
  Feed& behind = checked.add("behind");
  behind.upsert(1);
  for (int id = 100; id < 200; ++id) behind.upsert(id);
  for (int id = 100; id < 200; ++id) behind.remove(id);  // 200 records, the last stretch but one
  behind.truncate();
  Feed& deletes = checked.add("deletes");
  for (int id = 0; id < 20; ++id) {
    checked.kafka.produce(deletes.topic, 0, deletes.key(id), deletes.value('d', id, 1, ""));
    checked.kafka.produce(deletes.topic, 0, deletes.key(id), std::nullopt);
  }
  Feed& other_key = checked.add("other_key");
  checked.kafka.produce(other_key.topic, 0, other_key.key(1), other_key.value('d', 1, 1, ""));
  checked.kafka.flush();
  Feed& empty = checked.add("empty");
  for (const auto* feed : {&behind, &deletes, &empty}) {
    checked.target.exec("ALTER TABLE " + feed->name + " DROP COLUMN note");
  }
  checked.target.exec(filled("ALTER TABLE % DROP CONSTRAINT %_pkey", other_key.name));

  const auto ended = checked.check({"no.such.topic"});
  INFO(ended.out << ended.err);
  CHECK(ended.code == 1);
  CHECK(line_of(ended, behind) == "1 partition -> public." + behind.name + ": FAILED");
  CHECK_THAT(ended.out, ContainsSubstring("public." + behind.name + " has no column \"note\""));
  CHECK(line_of(ended, deletes) ==
        "1 partition -> public." + deletes.name + ": no record with a row: types can't be checked");
  CHECK(line_of(ended, empty) ==
        "1 partition -> public." + empty.name + ": no record yet: types can't be checked");
  CHECK_THAT(ended.out, ContainsSubstring(" has no primary key: add one on (id)"));
  CHECK_THAT(ended.out,
             ContainsSubstring("  no.such.topic: topic does not exist yet, will be waited for -> "
                               "such.topic: FAILED; types can't be checked\n"
                               "    such.topic does not exist: create it\n"));
  CHECK_THAT(ended.out, ContainsSubstring("  5 tables: 0 ok, 2 not checked, 3 FAILED\n"));
}

TEST_CASE("--check: records that can't be read, and types that are not carried") {
  Checked checked{"check_records"};
  Feed& unreadable = checked.add("unreadable");
  unreadable.upsert(1);
  checked.kafka.produce(unreadable.topic, 0, unreadable.key(1), "{\"flat\": \"secret\"}");
  checked.kafka.produce(unreadable.topic, 0, unreadable.key(1), unreadable.value('d', 1, 1, ""));
  Feed& mended = checked.add("mended");
  checked.kafka.produce(mended.topic, 0, mended.key(1), "no JSON");
  mended.upsert(1);
  Feed& unknown = checked.add("unknown");
  std::string value = unknown.value('c', 1, 1, "");
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (auto at = value.find(from); at != std::string::npos;
         at = value.find(from, at + to.size())) {
      value.replace(at, from.size(), to);
    }
  };
  replace(R"({"type":"string","optional":true,"field":"note"})",
          R"({"type":"string","name":"com.example.Secret","optional":true,"field":"note"})");
  replace(R"("note":"")", R"("note":null)");
  checked.kafka.produce(unknown.topic, 0, unknown.key(1), value);
  checked.kafka.flush();

  const auto ended = checked.check();
  INFO(ended.out << ended.err);
  CHECK(ended.code == 1);
  CHECK(line_of(ended, unreadable) == "1 partition -> public." + unreadable.name + ": FAILED");
  CHECK_THAT(ended.out, ContainsSubstring("\n    record " + unreadable.topic +
                                          "[0]@1 can't be read: value: no Debezium envelope"));
  CHECK_THAT(ended.out, !ContainsSubstring("secret"));
  CHECK(line_of(ended, mended) == "1 partition -> public." + mended.name + ": ok");
  CHECK(line_of(ended, unknown) == "1 partition -> public." + unknown.name + ": FAILED");
  CHECK_THAT(ended.out, ContainsSubstring("\n    column \"note\": the source's com.example.Secret "
                                          "(string) is not supported, only NULL"));
}
