// A target that does not take what the topics hold: memory stays bounded, the group stays as it is.
#include <nlohmann/json.hpp>
#include <set>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"
#include "web.hpp"
#include "web_server.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

TEST_CASE("a locked table stops the reading, not the membership, and costs no memory") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Database other{Stack::from_environment().target_url};
  Feed feed{kafka, target, "backlog"};
  Feed silent{kafka, target, "silent"};
  const auto config_of = [](const Feed& of) {
    DaemonConfig config{of.name, {of.topic}};
    config.max_bytes = "1MiB";
    config.properties = {{"session.timeout.ms", "3000"},
                         {"max.poll.interval.ms", "3000"},
                         {"heartbeat.interval.ms", "500"}};
    return config;
  };
  // A member that does nothing any more from the moment when the other one has paused its
  // partitions: once the broker has put it out, whatever the other one neglects would have shown.
  Daemon witness{silent.name, config_of(silent)};
  eventually(seconds{30}, "a member that will fall silent",
             [&] { return kafka.members("lockstep." + silent.name) == 1; });
  feed.load(100'000, 20'000);
  other.exec("BEGIN; LOCK TABLE " + feed.name);
  Daemon daemon{feed.name, config_of(feed)};
  daemon.await_log("partitions paused", seconds{30});
  witness.freeze();
  const auto paused = daemon.count_in_log("partitions paused");
  const auto resumed = daemon.count_in_log("partitions resumed");
  long most_kib = 0;
  eventually(seconds{30}, "the silent member is put out", [&] {
    most_kib = std::max(most_kib, daemon.resident_kib());
    return kafka.members("lockstep." + silent.name) == 0;
  });
  // With 100 times what it may hold before it, it has read no more.
  CHECK(daemon.count_in_log("partitions paused") == paused);
  CHECK(daemon.count_in_log("partitions resumed") == resumed);
  CHECK(most_kib < 64 * 1024);
  CHECK(feed.progress(target, feed.name) == 0);
  CHECK(kafka.members("lockstep." + feed.name) == 1);
  other.exec("COMMIT");
  eventually(seconds{120}, "all is applied", [&] {
    most_kib = std::max(most_kib, daemon.resident_kib());
    return feed.progress(target, feed.name) == feed.end();
  });
  feed.await_equal(target);
  check_only_forward(target, feed.name);
  CHECK(most_kib < 64 * 1024);
  CHECK(daemon.count_in_log("partitions assigned") == 1);
  CHECK(daemon.count_in_log("partitions given back") == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("SIGTERM ends a daemon in time whose transaction waits for a lock") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Database other{Stack::from_environment().target_url};
  Feed feed{kafka, target, "stuck"};
  feed.load(1000, 100);
  other.exec("BEGIN; LOCK TABLE " + feed.name);
  Daemon daemon{feed.name, {feed.name, {feed.topic}}};
  eventually(seconds{20}, "it waits for the table", [&] {
    return target.text(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep' "
               "AND wait_event_type = 'Lock'") == "1";
  });
  CHECK(daemon.stop() == 0);
  other.exec("COMMIT");
  daemon.start();
  feed.await_equal(target);
  check_only_forward(target, feed.name);
}

TEST_CASE("partitions that were paused when a second daemon came and went are read on") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Database other{Stack::from_environment().target_url};
  Feed feed{kafka, target, "paused", 2};
  feed.load(12'000, 2000);
  const auto member = [&](const std::string& name) {
    DaemonConfig config{feed.name, {feed.topic}};
    config.max_bytes = "1MiB";
    config.properties = {{"group.instance.id", feed.name + name}};
    return config;
  };
  other.exec("BEGIN; LOCK TABLE " + feed.name);
  Daemon first{feed.name + "_first", member("first")};
  first.await_log("partitions paused", seconds{30});
  Daemon second{feed.name + "_second", member("second")};
  second.await_log("partitions paused", seconds{30});
  first.await_log("partitions paused", seconds{30}, 2);
  CHECK(second.stop() == 0);
  first.await_log("partitions assigned", seconds{30}, 3);
  CHECK(feed.progress(target, feed.name, 0) == 0);
  other.exec("COMMIT");
  feed.await_equal(target);
  check_only_forward(target, feed.name);
  CHECK(first.stop() == 0);
}

TEST_CASE("a webhook's destination that is away stops the reading, and costs no memory") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "hook"};
  const auto takes = [](const WebServer::Call&, std::size_t) { return WebServer::Reply{}; };
  auto server = std::make_unique<WebServer>(takes);
  const int port = server->port();
  DaemonConfig config{feed.name, {feed.topic}};
  config.max_events = 1000;
  config.max_bytes = "4MiB";
  config.listen = "127.0.0.1:0";
  config.sink_type = "webhook";
  config.sink = {{"dead_letter_topic", feed.name + ".dead"},
                 {"routes", "[{name: all, url: '" + server->url() + "'}]"}};
  server.reset();
  feed.load(40'000, 10'000);
  Daemon daemon{feed.name, config};
  const auto status = [&] {
    const auto answer = web_call(daemon.http_port(), "GET", "/status");
    return nlohmann::json::parse(answer.body)["pipelines"][0];
  };
  const auto tries = [](const nlohmann::json& of) { return of["destination"]["calls"]["connect"]; };
  daemon.await_log("destination takes no calls", seconds{60});
  daemon.await_log("partitions paused", seconds{30});
  const auto resumed = daemon.count_in_log("partitions resumed");
  const int tried = tries(status());
  long most_kib = 0;
  std::size_t most_held = 0;
  eventually(seconds{60}, "the destination is tried three times more", [&] {
    const auto now = status();
    most_kib = std::max(most_kib, daemon.resident_kib());
    most_held = std::max(most_held, now["destination"]["waiting"].get<std::size_t>());
    return tries(now) >= tried + 3;
  });
  CHECK(daemon.count_in_log("partitions resumed") == resumed);
  CHECK(most_held > 0);
  CHECK(most_held <= 10'000 + 1000);
  CHECK(most_kib < 64 * 1024);
  CHECK(kafka.members("lockstep." + feed.name + ".all") == 1);

  server = std::make_unique<WebServer>(takes, port);
  eventually(seconds{120}, "all is called", [&] {
    most_kib = std::max(most_kib, daemon.resident_kib());
    return status()["lag"]["messages"] == 0;
  });
  CHECK(most_kib < 64 * 1024);
  std::set<std::string> keys;
  for (const auto& call : server->calls()) keys.insert(call.headers.at("idempotency-key"));
  CHECK(keys.size() == 40'000);
  CHECK(daemon.stop() == 0);
}
