// Waiting until what was committed at the source is in the target, and asking for a table anew,
// with what Debezium makes of either.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "kafka.hpp"
#include "load.hpp"
#include "stack.hpp"
#include "web.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

/// Two tables at the source, one that nobody writes to, the connector, and a daemon that serves.
struct Waited {
  explicit Waited(const std::string& of, const Connector::Settings& settings = {})
      : name{unique(of)}, first{name + "_a"}, second{name + "_b"}, idle{name + "_idle"} {
    for (const auto& table : tables()) {
      source.exec("CREATE TABLE " + table + " (id bigint PRIMARY KEY, v text)");
    }
    source.exec("CREATE TABLE " + signals +
                " (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048)); "
                "GRANT SELECT, INSERT, DELETE ON " +
                signals + " TO debezium");
    auto all = settings;
    all.emplace("signal.data.collection", "public." + signals);
    all.emplace("topic.creation.default.partitions", "3");
    connector.emplace(name, std::vector{first, second, idle, signals}, all);
    config.pipeline = name;
    for (const auto& table : tables()) config.topics.push_back(connector->topic(table));
    config.listen = "127.0.0.1:0";
    config.source = {{"url", stack.source_url}, {"signals", "public." + signals}};
    daemon.emplace(name, config);
    source.exec("INSERT INTO " + first + " VALUES (0, 'first'); INSERT INTO " + second +
                " VALUES (0, 'first')");
    await_equal(source, target, first);
    await_equal(source, target, second);
  }

  std::vector<std::string> tables() const { return {first, second, idle}; }
  WebAnswer wait(const std::string& timeout = "30s") const {
    return web_call(daemon->http_port(), "POST", "/wait?timeout=" + timeout);
  }
  WebAnswer wait_for(const std::string& marker, const std::string& timeout = "30s") const {
    return web_call(daemon->http_port(), "GET", "/wait?timeout=" + timeout + "&marker=" + marker);
  }
  WebAnswer tell(const std::string& table, const std::string& what) const {
    return web_call(daemon->http_port(), "POST",
                    "/pipelines/" + name + "/tables/public." + table + "/" + what);
  }

  const Stack& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  const std::string name;
  const std::string first;
  const std::string second;
  const std::string idle;
  const std::string signals = name + "_signals";
  std::optional<Connector> connector;
  DaemonConfig config;
  std::optional<Daemon> daemon;
};

std::string error_of(const WebAnswer& answer) {
  const auto json = nlohmann::json::parse(answer.body, nullptr, false);
  return json.value("error", "") + ": " + json.value("detail", "");
}

/// Writes a row, waits, and looks for it in the target, again and again. "": it always was there.
/// Of odd rounds the marker is written with the row, in one transaction.
std::string read_own_writes(const Waited& waited, int round, int times) {
  Database source{waited.stack.source_url};
  Database target{waited.stack.target_url};
  for (int i = 1; i <= times; ++i) {
    const auto id = std::to_string(round * 1'000'000 + i / 2);
    const auto& table = i % 3 == 0 ? waited.first : waited.second;
    const std::string v = "'" + std::to_string(i) + "'";
    // Rows come, change, go and get other keys.
    std::string change = "INSERT INTO " + table + " VALUES (" + id + ", " + v +
                         ") ON CONFLICT (id) DO UPDATE SET v = excluded.v";
    if (i % 5 == 0) change = "DELETE FROM " + table + " WHERE id = " + id;
    if (i % 7 == 0) {
      change = "UPDATE " + table +
               " SET id = id + 500000 WHERE id = " + std::to_string(round * 1'000'000 + i / 2 - 1);
    }
    WebAnswer answer;
    if (round % 2 == 0) {
      source.exec(change);
      answer = waited.wait();
    } else {
      const auto marker = "m" + std::to_string(round) + "-" + std::to_string(i);
      source.exec("BEGIN; " + change + "; SELECT pg_logical_emit_message(true, 'lockstep.wait', '" +
                  marker + "'); COMMIT");
      answer = waited.wait_for(marker);
    }
    if (answer.status != 200) return "HTTP " + std::to_string(answer.status) + ": " + answer.body;
    const auto mine = "SELECT string_agg(id || '=' || v, ',' ORDER BY id) FROM " + table +
                      " WHERE id / 1000000 = " + std::to_string(round);
    const auto want = source.text(mine);
    const auto got = target.text(mine);
    if (got != want) return change + ": " + got + " instead of " + want;
  }
  return "";
}

/// Of the first table, while nothing is written: how many rows of the source the target has not, or
/// not so.
std::size_t stale_rows(Waited& waited) {
  const auto rows_of = [&](Database& database) {
    std::set<std::string> rows;
    for (const auto& row : database.exec("SELECT id || ' ' || v FROM " + waited.first)) {
      rows.insert(row.at(0).value());
    }
    return rows;
  };
  const auto there = rows_of(waited.target);
  const auto wanted = rows_of(waited.source);
  return static_cast<std::size_t>(std::count_if(
      wanted.begin(), wanted.end(), [&](const auto& row) { return !there.contains(row); }));
}

void check_none(const std::string& trouble) {
  INFO(trouble);
  CHECK(trouble.empty());
}

}  // namespace

TEST_CASE("wait: whoever reads the target afterwards finds what was committed before") {
  const Waited waited{"wait_load"};
  Again load{[&](Database& database) {
    database.exec("INSERT INTO " + waited.first +
                  " SELECT -i, 'load' FROM generate_series(1, 10) i ON CONFLICT (id) DO UPDATE SET "
                  "v = excluded.v || now()");
    database.exec("DELETE FROM " + waited.second + " WHERE id < 0; INSERT INTO " + waited.second +
                  " SELECT -i, 'load' FROM generate_series(1, 5) i");
  }};
  load.await_more();
  check_none(read_own_writes(waited, 1, 40));
  check_none(read_own_writes(waited, 2, 40));
  load.end();
  check_none(read_own_writes(waited, 3, 10));  // nothing else goes on
}

TEST_CASE("wait: it lasts as long as a table can't take its rows, and says which") {
  Waited waited{"wait_locked"};
  CHECK(waited.wait().status == 200);
  waited.target.exec("BEGIN; LOCK TABLE " + waited.first);
  waited.source.exec("INSERT INTO " + waited.first + " VALUES (1, 'locked out')");
  const auto late = waited.wait("3s");
  CHECK(late.status == 504);
  CHECK_THAT(error_of(late), ContainsSubstring("not there in time: " + waited.name + ".public." +
                                               waited.first + "["));
  CHECK_THAT(error_of(late), ContainsSubstring("and waits: "));
  WebConnection waiting{waited.daemon->http_port()};
  waiting.send("POST /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  // Others are answered meanwhile.
  CHECK(waited.wait("1s").status == 504);
  CHECK(web_call(waited.daemon->http_port(), "GET", "/status").status == 200);
  CHECK_FALSE(waiting.is_closed(std::chrono::milliseconds{10}));
  waited.target.exec("COMMIT");
  CHECK_THAT(waiting.receive_all(seconds{10}), ContainsSubstring("200 OK"));
  CHECK(waited.target.text("SELECT v FROM " + waited.first + " WHERE id = 1") == "locked out");
}

TEST_CASE("wait: what stands still until somebody acts is told at once") {
  Waited waited{"wait_stuck"};
  waited.target.exec("ALTER TABLE " + waited.first + " ADD CONSTRAINT no_bad CHECK (v <> 'bad')");
  CHECK(waited.tell(waited.second, "pause").status == 200);
  CHECK(waited.wait().status == 200);  // nothing of it is behind
  waited.source.exec("INSERT INTO " + waited.second + " VALUES (1, 'paused')");
  auto answer = waited.wait("10m");
  CHECK(answer.status == 409);
  CHECK(error_of(answer) ==
        "stands still: " + waited.name + ".public." + waited.second + " is paused: resume it");
  CHECK(waited.tell(waited.second, "resume").status == 200);
  CHECK(waited.wait().status == 200);
  CHECK(waited.target.text("SELECT v FROM " + waited.second + " WHERE id = 1") == "paused");

  waited.source.exec("INSERT INTO " + waited.first + " VALUES (1, 'bad')");
  answer = waited.wait("10m");
  CHECK(answer.status == 409);
  CHECK_THAT(error_of(answer), ContainsSubstring(waited.first + " has stopped: "));
  CHECK_THAT(error_of(answer), ContainsSubstring("no_bad"));
  waited.target.exec("ALTER TABLE " + waited.first + " DROP CONSTRAINT no_bad");
  CHECK(waited.tell(waited.first, "retry").status == 200);
  CHECK(waited.wait().status == 200);
  CHECK(waited.target.text("SELECT v FROM " + waited.first + " WHERE id = 1") == "bad");
}

TEST_CASE("wait: neither Connect's death nor the daemon's lets it end too early") {
  Waited waited{"wait_restarts"};
  Again writes{[&waited, id = 1](Database& database) mutable {
    database.exec("INSERT INTO " + waited.first + " VALUES (" + std::to_string(id++) + ", 'x')");
  }};
  writes.await_more();
  const auto all_before = [&] {
    const auto before = waited.source.number("SELECT max(id) FROM " + waited.first);
    const auto answer = waited.wait("9s");
    if (answer.status == 200) {
      CHECK(waited.target.number("SELECT count(*) FROM " + waited.first +
                                 " WHERE id <= " + std::to_string(before)) == before + 1);
    }
    return answer.status == 200;
  };
  CHECK(all_before());
  {
    Outage connect{"connect", Outage::How::kill};
    const auto answer = waited.wait("1s");
    CHECK(answer.status == 504);
    CHECK_THAT(error_of(answer), ContainsSubstring("the marker has not come"));
    connect.end();
  }
  eventually(seconds{60}, "the connector goes on", all_before);
  waited.daemon->kill();
  waited.daemon->start();
  waited.daemon->await_log("HTTP is served at", seconds{10}, 2);
  eventually(seconds{60}, "the daemon goes on", all_before);
  writes.end();
}

TEST_CASE("wait: lockstepd wait asks the daemon, and its exit code tells") {
  Waited waited{"wait_command"};
  const auto file = fresh_folder(waited.name + "_client") / "lockstep.yaml";
  const auto run = [&](std::vector<std::string> more, int port) {
    auto config = waited.config;
    config.listen = "127.0.0.1:" + std::to_string(port);
    std::ofstream{file} << to_yaml(config);
    std::vector<std::string> arguments{"wait", "--config", file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_daemon(arguments);
  };
  const int port = waited.daemon->http_port();
  waited.source.exec("INSERT INTO " + waited.first + " VALUES (1, 'x')");
  auto ended = run({"--pipeline", waited.name}, port);
  INFO(ended.out << ended.err);
  CHECK(ended.code == 0);
  CHECK_THAT(ended.out, ContainsSubstring(waited.name + ": all is in the target, waited_ms="));
  CHECK(waited.target.number("SELECT count(*) FROM " + waited.first) == 2);

  waited.source.exec("SELECT pg_logical_emit_message(true, 'lockstep.wait', 'a/ü?&')");
  CHECK(run({"--marker", "a/ü?&"}, port).code == 0);
  ended = run({"--marker", "nobody's", "--timeout", "1s"}, port);
  CHECK(ended.code == 1);
  CHECK_THAT(ended.err, ContainsSubstring("error: not there in time: the marker has not come in " +
                                          waited.name + ".message"));
  ended = run({"--pipeline", "nope"}, port);
  CHECK(ended.code == 1);
  CHECK_THAT(ended.err, ContainsSubstring("error: no such pipeline"));
  ended = run({"--timeout", "soon"}, port);
  CHECK(ended.code == 2);
  CHECK_THAT(ended.err, ContainsSubstring("--timeout: soon is not a duration"));
  CHECK(waited.daemon->stop() == 0);
  ended = run({}, port);
  CHECK(ended.code == 1);
  CHECK_THAT(ended.err, ContainsSubstring("error: lockstepd does not answer: 127.0.0.1:"));
}

TEST_CASE("wait: where it can't be exact, or can't work, it says what to set") {
  SECTION("no source") {
    Kafka kafka;
    const std::string prefix = unique("wait_by_hand");
    const std::string topic = prefix + ".public.t";
    kafka.create_topic(topic);
    DaemonConfig config{prefix, {topic}};
    config.listen = "127.0.0.1:0";
    const Daemon daemon{prefix, config};
    auto answer = web_call(daemon.http_port(), "POST", "/wait");
    CHECK(answer.status == 409);
    CHECK_THAT(error_of(answer), ContainsSubstring("pipelines[].source.connection of " + prefix));
    answer = web_call(daemon.http_port(), "GET", "/wait?marker=me&timeout=300ms");
    CHECK(answer.status == 504);
    CHECK_THAT(error_of(answer), ContainsSubstring("there is no topic " + prefix + ".message"));

    // Written one by one, as a connector does without exactly-once.
    kafka.create_topic(prefix + ".message");
    kafka.produce(prefix + ".message", 0, std::nullopt,
                  R"({"op":"m","message":{"prefix":"lockstep.wait","content":"bWU="}})");
    kafka.flush();
    answer = web_call(daemon.http_port(), "GET", "/wait?marker=me");
    CHECK(answer.status == 409);
    CHECK_THAT(error_of(answer), ContainsSubstring("exactly.once.support=required"));
    answer = web_call(daemon.http_port(), "POST", "/pipelines/" + prefix + "/tables/t/resync");
    CHECK(answer.status == 409);
    CHECK_THAT(error_of(answer), ContainsSubstring("signal.data.collection"));
  }
  SECTION("a connector that leaves messages out") {
    const Waited waited{"wait_excluded", {{"message.prefix.exclude.list", "lockstep.*"}}};
    const auto answer = waited.wait("2s");
    CHECK(answer.status == 504);
    CHECK_THAT(error_of(answer), ContainsSubstring("message.prefix.exclude.list"));
  }
  SECTION("a source that is not there, and one that does not answer") {
    DaemonConfig config{unique("wait_away"), {"a.public.t"}};
    config.listen = "127.0.0.1:0";
    config.source = {{"url", "postgresql://me@127.0.0.1:1/d"}, {"signals", "public.signals"}};
    const Daemon daemon{config.pipeline, config};
    const auto answer = web_call(daemon.http_port(), "POST", "/wait");
    CHECK(answer.status == 503);
    CHECK_THAT(error_of(answer), ContainsSubstring("the source does not answer: "));
  }
}

TEST_CASE("resync: a table's lost rows come back, while others come and go") {
  Waited waited{"resync"};
  waited.source.exec("INSERT INTO " + waited.first +
                     " SELECT i, 'row ' || i FROM generate_series(1, 5000) i");
  Again writes{[&waited, step = 0](Database& database) mutable {
    const auto id = std::to_string(6000 + step++);
    database.exec("INSERT INTO " + waited.first + " VALUES (" + id + ", 'new'); UPDATE " +
                  waited.first + " SET v = v || '+' WHERE id % 97 = " + std::to_string(step % 97) +
                  "; DELETE FROM " + waited.first + " WHERE id = " + id + " - 20");
  }};
  writes.await_more();
  CHECK(waited.wait().status == 200);
  waited.target.exec("DELETE FROM " + waited.first + " WHERE id BETWEEN 100 AND 4000; UPDATE " +
                     waited.first + " SET v = 'wrong' WHERE id BETWEEN 4001 AND 4500");
  waited.target.exec("INSERT INTO " + waited.first + " VALUES (-7, 'nobody knows')");
  const auto asked = waited.tell(waited.first, "resync");
  CHECK(asked.status == 202);
  const auto json = nlohmann::json::parse(asked.body);
  CHECK(json.at("tables") == nlohmann::json{"public." + waited.first});
  CHECK(json.at("done") == "resync");
  CHECK_FALSE(json.contains("note"));
  CHECK(waited.source.number("SELECT count(*) FROM " + waited.signals + " WHERE id = '" +
                             json.at("signal").get<std::string>() + "'") == 1);
  writes.await_more();
  const auto lost = "SELECT count(*) FROM " + waited.first +
                    " WHERE id BETWEEN 100 AND 4500 AND v "
                    "LIKE 'row%'";
  eventually(seconds{60}, "the rows are back", [&] { return waited.target.number(lost) == 4401; });
  writes.end();
  // What the source does not have stays: docs/operation.md.
  CHECK(waited.target.number("DELETE FROM " + waited.first + " WHERE id = -7 RETURNING id") == -7);
  // Rows of a write that was in the log already and not to be seen yet, as a chunk was read, come
  // back as they were before it (docs/operation.md). Of one write they are at most 53; another
  // time, while nothing is written, makes them right.
  CHECK(waited.wait().status == 200);
  CHECK(stale_rows(waited) <= 53);
  CHECK(waited.tell(waited.first, "resync").status == 202);
  await_equal(waited.source, waited.target, waited.first);

  // A table that stands still takes nothing, and the answer says so.
  CHECK(waited.tell(waited.second, "pause").status == 200);
  const auto paused = waited.tell(waited.second, "resync");
  CHECK(paused.status == 202);
  CHECK_THAT(paused.body, ContainsSubstring("until you resume it"));

  CHECK(waited.tell("nope", "resync").status == 404);
}
