// With on_error: dead_letter a record that can't be used goes to the dead-letter topic and its
// table goes on; what follows of its row is parked behind it, through any kill, until it is let go.
#include <fstream>
#include <set>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

constexpr int config_events = 50;

struct LettersTest {
  explicit LettersTest(const std::string& name) : pipeline{unique(name)} {}

  DaemonConfig config(const std::vector<std::string>& topics, const std::string& per_minute) const {
    DaemonConfig config{pipeline, topics};
    config.max_events = config_events;
    config.sink = {{"missing_table", "pause"},
                   {"on_error", "dead_letter"},
                   {"dead_letter_topic", letters_topic()},
                   {"dead_letters_per_minute", per_minute}};
    return config;
  }
  std::string letters_topic() const { return pipeline + ".lost"; }
  std::string file() const {
    return (std::filesystem::path{LOCKSTEP_BIN_DIR} / ".." / "test-work" / pipeline /
            "lockstep.yaml")
        .string();
  }
  Ended run_letters(std::vector<std::string> arguments) const {
    std::vector<std::string> all{"dead-letters", "--config", file()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_daemon(all);
  }
  long long parked() {
    return target.number("SELECT count(*) FROM lockstep.parked WHERE pipeline = '" + pipeline +
                         "'");
  }
  void await_applied(Feed& feed) {
    eventually(seconds{30}, "all is applied or passed by", [&]() -> std::string {
      const auto at = feed.progress(target, pipeline);
      return at == feed.end() ? "" : std::to_string(at) + " of " + std::to_string(feed.end());
    });
  }

  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  const std::string pipeline;
};

std::string row_key(std::int64_t id) {
  return "id=\"" + std::to_string(id) + "\"";
}

}  // namespace

TEST_CASE("a record that can't be used is a dead letter, and its row is parked until let go") {
  LettersTest test{"letters"};
  Feed feed{test.kafka, test.target, "letters"};
  test.target.exec("ALTER TABLE " + feed.name +
                   " ALTER note TYPE varchar(20), ADD CHECK (note <> 'forbidden')");

  // Each first record of an id of its own.
  struct Bad {
    std::int64_t id;
    std::string value;
    std::string stage;
    std::string says;
  };
  const auto sound_value = [&](std::int64_t id, const std::string& note) {
    return feed.value('c', id, id, note);
  };
  const auto replaced = [](std::string text, const std::string& from, const std::string& to) {
    const auto at = text.rfind(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
  };
  const std::string some = sound_value(1002, "x");
  const std::vector<Bad> bad{
      {1001, "{nonsense", "decode", "malformed JSON"},
      {1002, some.substr(0, some.size() - 20), "decode", "malformed JSON"},
      {1003, replaced(sound_value(1003, "x"), R"("version":1003)", R"("version":"many")"), "decode",
       "column \"version\" (int64)"},
      {1004, replaced(sound_value(1004, "x"), R"("op":"c")", R"("op":"z")"), "decode",
       "unknown op"},
      {1005, sound_value(1005, "\xff\xfe"), "decode", "UTF-8"},
      {1006, sound_value(1006, "a\\u0000b"), "decode", "NUL"},
      {1007, sound_value(1007, "longer than twenty characters"), "apply", "value too long"},
      {1008, sound_value(1008, "forbidden"), "apply", "check constraint"},
      {1009, replaced(sound_value(1009, "x"), R"("version":1009)", R"("version":null)"), "apply",
       "null value in column \"version\""},
  };
  feed.load(150, 40);
  std::map<std::string, std::pair<std::string, std::string>> want;  // offset: stage, value
  const auto put = [&](std::int64_t id, const std::string& value, const std::string& stage) {
    feed.flush();
    want[std::to_string(feed.end())] = {stage, value};
    test.kafka.produce(feed.topic, 0, feed.key(id), value, {{"trace", std::to_string(id)}});
    feed.flush();
  };
  for (const auto& one : bad) {
    put(one.id, one.value, one.stage);
    // In another batch: of what is in one, the last change of a row is enough.
    feed.load(config_events + 1, 40, static_cast<unsigned>(one.id));
    put(one.id, sound_value(one.id, "later"), "parked");
  }
  put(1001, "{still nonsense", "decode");
  put(1008, sound_value(1008, "forbidden"), "parked");
  feed.load(100, 40, 7);

  Daemon daemon{test.pipeline, test.config({feed.topic}, "60")};
  daemon.await_log("dead letter, the table goes on", seconds{30}, 3);
  daemon.kill();
  daemon.start();
  feed.await_equal(test.target);
  test.await_applied(feed);
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(test.parked() == static_cast<long long>(bad.size()));
  for (const auto& one : bad) {
    INFO(one.id);
    const auto lines = daemon.lines_with("stage=" + one.stage);
    CHECK(std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(one.says) != std::string::npos;
    }));
  }

  // All of them are there, as they came; those that were under way at the kill perhaps twice.
  std::set<std::string> found;
  std::map<std::string, std::int64_t> last_of_key;
  for (const auto& letter : test.kafka.records(test.letters_topic())) {
    const auto& offset = letter.headers.at("lockstep.offset");
    INFO("offset " << offset);
    REQUIRE(want.contains(offset));
    CHECK(letter.headers.at("lockstep.pipeline") == test.pipeline);
    CHECK(letter.headers.at("lockstep.topic") == feed.topic);
    CHECK(letter.headers.at("lockstep.partition") == "0");
    CHECK(letter.headers.at("lockstep.stage") == want.at(offset).first);
    CHECK_FALSE(letter.headers.at("lockstep.error").empty());
    CHECK(letter.value == want.at(offset).second);
    const auto id = std::stoll(letter.headers.at("trace"));
    CHECK(letter.key == feed.key(id));
    CHECK(letter.headers.at("lockstep.key") == row_key(id));
    found.insert(offset);
  }
  CHECK(found.size() == want.size());

  // A complete change that came later makes up for what could not be used. For two there is none.
  const auto listed = test.run_letters({"list"});
  CHECK(listed.code == 0);
  for (const auto& one : bad) CHECK_THAT(listed.out, ContainsSubstring(row_key(one.id) + ": "));
  const auto retried = test.run_letters({"retry", "--key", row_key(1007)});
  CHECK(retried.code == 0);
  CHECK_THAT(retried.out, ContainsSubstring(row_key(1007) + ": 2 letters applied, let go"));
  CHECK(test.parked() == 8);
  const auto hopeless = test.run_letters({"retry", "--all"});
  CHECK(hopeless.code == 1);
  CHECK_THAT(hopeless.out, ContainsSubstring(row_key(1001) + ": not retried: " + feed.topic));
  CHECK_THAT(hopeless.out, ContainsSubstring("still can't be read: value: malformed JSON"));
  CHECK_THAT(hopeless.out,
             ContainsSubstring(row_key(1008) + ": not retried: violates check constraint"));
  CHECK(test.parked() == 2);
  CHECK(test.target.number("SELECT count(*) FROM " + feed.name +
                           " WHERE id > 1000 AND note = 'later'") == 7);
  test.target.exec("ALTER TABLE " + feed.name + " DROP CONSTRAINT " + feed.name + "_note_check");

  // What is still parked stays so; what was let go is written again.
  const auto change_again = [&](const std::vector<std::int64_t>& ids, const std::string& note) {
    for (const auto id : ids) {
      test.kafka.produce(feed.topic, 0, feed.key(id), sound_value(id, note));
    }
    test.kafka.flush();
    test.await_applied(feed);
  };
  const auto notes_of = [&](const std::string& ids) {
    return test.target.text("SELECT string_agg(id || note, ' ' ORDER BY id) FROM " + feed.name +
                            " WHERE id IN (" + ids + ")");
  };
  change_again({1001, 1007, 1008}, "after");
  CHECK(notes_of("1001, 1007, 1008") == "1007after");
  CHECK(test.run_letters({"discard", "--key", row_key(1001)}).code == 0);
  CHECK(test.run_letters({"retry", "--all"}).code == 0);
  CHECK(test.parked() == 0);
  CHECK(notes_of("1001, 1007, 1008") == "1007after 1008after");
  change_again({1001, 1008}, "at last");
  CHECK(notes_of("1001, 1007, 1008") == "1001at last 1007after 1008at last");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("what is wrong with a table is no dead letter, and neither is a flood") {
  LettersTest test{"flood"};
  Feed flooded{test.kafka, test.target, "flooded"};
  Feed missing{test.kafka, test.target, "missing"};
  Feed sound{test.kafka, test.target, "sound"};
  Feed flattened{test.kafka, test.target, "flattened"};
  flattened.load(50, 20);
  const auto before_flattened = flattened.end();
  test.kafka.produce(flattened.topic, 0, flattened.key(1), R"({"id":1,"version":7,"note":"x"})");
  test.target.exec("DROP TABLE " + missing.name);
  missing.upsert(1);
  flooded.load(50, 20);
  std::int64_t fifth = 0;
  for (int i = 0; i < 12; ++i) {
    flooded.flush();
    if (i == 5) fifth = flooded.end();
    test.kafka.produce(flooded.topic, 0, flooded.key(1000 + i), "{nonsense");
  }
  flooded.load(50, 20, 2);
  sound.load(50, 20);

  Daemon daemon{test.pipeline,
                test.config({flooded.topic, missing.topic, sound.topic, flattened.topic}, "5")};
  daemon.await_log("table stopped", seconds{30}, 3);
  sound.await_equal(test.target);
  CHECK(daemon.count_in_log("does not exist") == 1);
  CHECK(daemon.count_in_log("take the ExtractNewRecordState transform out; no dead letter") == 1);
  eventually(seconds{10}, "what was before the flattened record is passed",
             [&] { return flattened.progress(test.target, test.pipeline) == before_flattened; });
  CHECK(daemon.count_in_log("5 dead letters in a minute") == 1);
  CHECK(daemon.count_in_log("dead letter, the table goes on") == 5);
  eventually(seconds{10}, "what was before the flood is passed",
             [&] { return flooded.progress(test.target, test.pipeline) == fifth; });

  // An operator who has looked lets five more pass, and five more.
  daemon.reload();
  daemon.await_log("5 dead letters in a minute", seconds{30}, 2);
  daemon.reload();
  flooded.await_equal(test.target);
  CHECK(test.parked() == 12);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a refused change of a row's key stops its table, and goes on once that is mended") {
  LettersTest test{"key_change"};
  Feed feed{test.kafka, test.target, "key_change"};
  Feed sound{test.kafka, test.target, "key_change_sound"};
  test.target.exec("ALTER TABLE " + feed.name + " ADD CONSTRAINT small CHECK (id < 100)");
  feed.load(20, 10);
  feed.upsert(50, "moved");
  feed.flush();
  test.kafka.produce(feed.topic, 0, feed.key(50), feed.value('d', 50, 1000, ""),
                     {{"__debezium.newkey", R"({"id":150})"}});
  test.kafka.produce(feed.topic, 0, feed.key(50), std::nullopt,
                     {{"__debezium.newkey", R"({"id":150})"}});
  test.kafka.produce(feed.topic, 0, feed.key(150), feed.value('c', 150, 1001, "moved"),
                     {{"__debezium.oldkey", R"({"id":50})"}});
  test.kafka.flush();
  sound.load(20, 10);
  Daemon daemon{test.pipeline, test.config({feed.topic, sound.topic}, "60")};
  daemon.await_log("table stopped", seconds{30});
  CHECK(daemon.lines_with("table stopped")[0].find(
            "no dead letter, since it gives its row another key, and a row is parked by one; mend "
            "what it is refused for, then reload: systemctl reload lockstepd, or SIGHUP, or skip "
            "it") != std::string::npos);
  sound.await_equal(test.target);
  eventually(seconds{30}, "what was before the record is applied", [&] {
    return test.target.text("SELECT string_agg(note, '') FROM " + feed.name + " WHERE id = 50") ==
           "moved";
  });
  CHECK(test.parked() == 0);

  test.target.exec("ALTER TABLE " + feed.name + " DROP CONSTRAINT small");
  daemon.reload();
  eventually(seconds{30}, "the row has its new key", [&] {
    return test.target.text("SELECT string_agg(id || note, ' ') FROM " + feed.name +
                            " WHERE id >= 50") == "150moved";
  });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("letters are read again as the daemon has read them") {
  LettersTest test{"again"};
  Feed feed{test.kafka, test.target, "again"};
  const std::string topic = unique("again_renamed");
  test.kafka.create_topic(topic);
  test.target.exec("ALTER TABLE " + feed.name + " ADD CONSTRAINT c CHECK (note <> 'forbidden')");
  auto config = test.config({topic}, "60");
  config.connector = {{"unavailable.value.placeholder", "gone"}};
  config.max_events = 1;  // of what is in one batch, the last change of a row is enough
  Daemon daemon{test.pipeline, config};
  const auto put = [&](std::int64_t id, std::int64_t version, const std::string& note) {
    test.kafka.produce(topic, 0, feed.key(id), feed.value('u', id, version, note));
  };
  put(1, 1, "kept");
  put(2, 2, "kept");
  put(1, 3, "forbidden");
  put(1, 4, "gone");
  test.kafka.produce(topic, 0, feed.key(2), "{nonsense");
  test.kafka.produce(topic, 0, feed.key(2), std::nullopt);
  test.kafka.flush();
  eventually(seconds{30}, "all is applied or parked", [&] {
    return progress(test.target, test.pipeline, topic) == 6 && test.parked() == 2;
  });
  test.target.exec("ALTER TABLE " + feed.name + " DROP CONSTRAINT c");
  const auto retried = test.run_letters({"retry", "--all"});
  INFO(retried.out);
  CHECK(retried.code == 0);
  CHECK(test.target.text("SELECT string_agg(id || ' ' || version || ' ' || note, ', ') FROM " +
                         feed.name) == "1 4 forbidden");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("what is wrong with a command about dead letters is told") {
  LettersTest test{"commands"};
  Feed feed{test.kafka, test.target, "commands"};
  const auto config = test.config({feed.topic}, "60");
  test.kafka.produce(feed.topic, 0, feed.key(1), "{nonsense");
  test.kafka.produce(feed.topic, 0, feed.key(1), "{nonsense");
  test.kafka.produce(feed.topic, 0, feed.key(2), "{nonsense");
  feed.flush();
  Daemon daemon{test.pipeline, config};
  eventually(seconds{30}, "three are dead letters", [&] { return test.parked() == 2; });
  CHECK(daemon.stop() == 0);

  const auto run = [&](const DaemonConfig& changed, const std::vector<std::string>& arguments) {
    const auto file = fresh_folder(test.pipeline + "_command") / "lockstep.yaml";
    std::ofstream{file} << to_yaml(changed);
    std::vector<std::string> all{"dead-letters", "--config", file};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_daemon(all);
  };
  CHECK(run(config, {}).code == 2);
  CHECK(run(config, {"mend"}).code == 2);
  const auto without_what = run(config, {"retry"});
  CHECK(without_what.code == 2);
  CHECK_THAT(without_what.err, ContainsSubstring("retry what? Say --topic, --key or --all"));

  for (const auto& action : {"list", "retry", "discard"}) {
    for (const auto& option : {"--key", "--topic"}) {
      const auto unknown = run(config, {action, option, "id=7"});
      INFO(action << " " << option << ": " << unknown.out);
      CHECK(unknown.code == 1);
      CHECK(unknown.out ==
            "no such row is parked: lockstepd dead-letters list shows topics and keys. What was "
            "skipped parks no row, and is not retried: newer changes of it may be applied\n");
    }
  }
  const auto other = run(config, {"list", "--pipeline", "other"});
  CHECK(other.code == 1);
  CHECK(other.out == "no pipeline other with a postgres sink\n");

  auto pausing = config;
  pausing.sink.erase("on_error");
  CHECK(run(pausing, {"list"}).out ==
        "no pipeline has on_error: dead_letter; what was skipped: debug_messages --dead-letters\n");

  auto elsewhere = config;
  elsewhere.sink["dead_letter_topic"] = test.letters_topic() + ".other";
  const auto no_topic = run(elsewhere, {"retry", "--all"});
  CHECK(no_topic.code == 1);
  CHECK(no_topic.out == test.pipeline + ": nothing is retried, topic " + test.letters_topic() +
                            ".other can't be read: the brokers have no such topic; is "
                            "sink.dead_letter_topic as it was?\n");

  auto no_broker = config;
  no_broker.brokers = "127.0.0.1:1";
  const auto away = run(no_broker, {"retry", "--all"});
  CHECK(away.code == 1);
  CHECK_THAT(away.out, ContainsSubstring(test.pipeline + ": nothing is retried, topic " +
                                         test.letters_topic() + " can't be read: "));
  CHECK_THAT(away.out, ContainsSubstring("Connection refused"));
  CHECK(run(no_broker, {"list"}).code == 0);  // the target has it

  auto no_target = config;
  no_target.target_url = "postgresql://postgres:secret@127.0.0.1:1/target_db";
  const auto nowhere = run(no_target, {"list"});
  CHECK(nowhere.code == 1);
  CHECK_THAT(nowhere.out, ContainsSubstring(": lockstep.parked can't be read at the target: "));
  CHECK(nowhere.out.find("secret") == std::string::npos);

  const std::string role = test.pipeline;
  test.target.exec("CREATE ROLE " + role +
                   " LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA lockstep TO " + role +
                   "; GRANT SELECT, INSERT, UPDATE ON lockstep.progress TO " + role);
  auto no_rights = config;
  no_rights.target_url = Stack::from_environment().target_url;
  no_rights.target_url.replace(no_rights.target_url.find("postgres:postgres"), 17, role + ":r");
  const auto forbidden = run(no_rights, {"list"});
  CHECK(forbidden.code == 1);
  CHECK_THAT(forbidden.out, ContainsSubstring("permission denied for table parked (SQLSTATE "
                                              "42501); docs/operation.md, Rights on the target"));
  const auto checked = [&] {
    const auto file = fresh_folder(test.pipeline + "_command") / "lockstep.yaml";
    std::ofstream{file} << to_yaml(no_rights);
    return run_daemon({"--config", file, "--check"});
  }();
  CHECK(checked.code == 1);
  CHECK_THAT(checked.out, ContainsSubstring("on lockstep.parked, role " + role + " lacks SELECT"));
  test.target.exec("DROP OWNED BY " + role + "; DROP ROLE " + role);

  test.kafka.delete_records(test.letters_topic(), 0, 1);  // retention has passed the first
  const auto retried = run(config, {"retry", "--key", row_key(1)});
  CHECK(retried.code == 1);
  CHECK_THAT(retried.out,
             ContainsSubstring("not retried: the dead-letter topic has 1 of its 2 letters: set the "
                               "row right at the target by hand, and discard it"));
  CHECK(run(config, {"discard", "--all"}).code == 0);
  const auto none = run(config, {"list"});
  CHECK(none.code == 0);
  CHECK(none.out == test.pipeline + ": no row is parked\n");
}
