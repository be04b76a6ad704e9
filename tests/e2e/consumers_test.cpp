// Consumers: pipelines that are started over HTTP, kept over restarts, and stopped.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "api.hpp"
#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "redis.hpp"
#include "stack.hpp"
#include "web_server.hpp"

using namespace lockstep::test;
using nlohmann::json;
using std::chrono::seconds;

namespace {

/// A feed, a daemon that replicates another topic, and a consumer of the feed.
struct ConsumersTest {
  explicit ConsumersTest(const std::string& test,
                         const std::string& web_url = "http://127.0.0.1:1/")
      : name{unique(test)},
        state_dir{fresh_folder(name + "_state") / "kept"},
        feed{kafka, target, test},
        api{name, name, {}, more(web_url)} {}

  json body(const std::string& job, const std::string& connection = "target") const {
    return {{"consumer_id", consumer},
            {"kafka_topic", feed.topic},
            {"pipeline_name", "a label"},
            {"connection_id", connection},
            {"max_event", 10},
            {"max_time", 3600},
            {"job_type", job},
            {"auto_offset_reset", "earliest"}};
  }
  Api::Reply start(const json& wanted) const { return api.call("POST", "/consumer/start", wanted); }
  int refused(const json& wanted) const { return api.refusal("POST", "/consumer/start", wanted); }
  std::string stop_path() const { return "/consumer/stop?consumer_id=" + consumer; }
  json info() const {
    const auto reply = api.call("GET", "/consumer/info/" + consumer);
    INFO(reply.text);
    REQUIRE(reply.status == 200);
    return reply.body;
  }
  void await_info(const std::string& what, const std::function<bool(const json&)>& is_so) const {
    eventually(seconds{30}, what, [&]() -> std::string {
      const auto shown = info();
      return is_so(shown) ? "" : shown.dump();
    });
  }
  bool is_listed() const {
    const auto list = api.call("GET", "/consumer/list").body.at("consumers");
    for (const auto& one : list) {
      if (one.at("consumer_id") == consumer) return true;
    }
    return false;
  }

  const std::string name;
  const std::string consumer = name + "-c";
  const std::filesystem::path state_dir;
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed;
  Api api;

 private:
  std::string more(const std::string& web_url) const {
    const auto& stack = Stack::from_environment();
    return "state_dir: '" + state_dir.string() + "'\nredis: '" + stack.redis_url +
           "'\nconnections: {target: '" + stack.target_url + "', web: '" + web_url + "'}\n";
  }
};

}  // namespace

TEST_CASE("consumers: one that replicates is kept over restart and kill, until it is stopped") {
  ConsumersTest test{"consumer_replica"};
  test.feed.load(200, 40);
  test.feed.flush();
  const auto started = test.start(test.body("replica"));
  INFO(started.text);
  REQUIRE(started.status == 201);
  CHECK(started.body["kept"] == true);
  CHECK(started.body["group"] == "lockstep." + test.consumer);
  CHECK(started.body["pipeline_name"] == "a label");
  test.feed.await_equal(test.target);
  test.await_info("all is counted", [&](const json& shown) {
    return shown["counts"]["records"] == test.feed.end() && shown["lag"]["messages"] == 0 &&
           shown["state"] == "running" && shown["last_error"].is_null() &&
           shown["window"].is_null();
  });
  CHECK(test.is_listed());
  CHECK(test.refused(test.body("replica")) == 409);
  CHECK(test.refused(test.body("console")) == 409);

  CHECK(test.api.daemon.stop() == 0);
  test.feed.load(100, 40, 2);
  test.api.daemon.start();
  test.feed.await_equal(test.target);
  test.api.daemon.kill();
  test.feed.load(100, 40, 3);
  test.api.daemon.start();
  test.feed.await_equal(test.target);
  CHECK(test.is_listed());
  CHECK(test.info()["started_at"] == started.body["started_at"]);

  const auto stopped = test.api.call("POST", test.stop_path());
  CHECK(stopped.status == 200);
  CHECK(stopped.body["consumer_id"] == test.consumer);
  CHECK_FALSE(test.is_listed());
  CHECK(test.api.refusal("POST", test.stop_path()) == 404);
  CHECK(test.api.refusal("GET", "/consumer/info/" + test.consumer) == 404);
  CHECK(test.kafka.members("lockstep." + test.consumer) == 0);
  const auto end = test.feed.progress(test.target, test.consumer);
  test.feed.load(100, 40, 4);
  test.feed.flush();
  CHECK(test.api.daemon.stop() == 0);
  test.api.daemon.start();
  CHECK_FALSE(test.is_listed());
  CHECK(test.feed.progress(test.target, test.consumer) == end);

  // It goes on where it stood, whatever is said of groups that stand nowhere.
  auto again = test.body("replica");
  again["auto_offset_reset"] = "latest";
  CHECK(test.start(again).status == 201);
  test.feed.await_equal(test.target);
  check_only_forward(test.target, test.feed.name);
  CHECK(test.api.daemon.stop() == 0);
}

TEST_CASE("consumers: sync gathers in Redis, also over a restart, and loads in one go") {
  ConsumersTest test{"consumer_sync"};
  for (int id = 0; id < 5; ++id) test.feed.upsert(id);
  test.feed.flush();
  const auto started = test.start(test.body("sync"));
  INFO(started.text);
  REQUIRE(started.status == 201);
  const auto holds = [](int count) {
    return [count](const json& shown) {
      return shown["window"].is_object() && shown["window"]["count"] == count;
    };
  };
  test.await_info("five are gathered", holds(5));
  const auto window = test.info()["window"];
  CHECK(window["max_event"] == 10);
  CHECK(window["max_time"] == 3600);
  CHECK(test.target.number("SELECT count(*) FROM " + test.feed.name) == 0);
  CHECK(test.api.daemon.stop() == 0);
  test.api.daemon.start();
  test.await_info("they still are", holds(5));
  CHECK(test.info()["window"]["started"] == window["started"]);

  for (int id = 5; id < 11; ++id) test.feed.upsert(id);
  test.feed.await_equal(test.target);
  test.await_info("eleven were loaded", [](const json& shown) {
    return shown["last_load"].is_object() && shown["last_load"]["events"] == 11 &&
           !shown["last_load"]["ended"].is_null() && shown["window"]["count"] == 0;
  });
  CHECK(test.target.number("SELECT count(DISTINCT synced_at) FROM " + test.feed.name) == 1);
  CHECK(test.api.call("POST", test.stop_path()).status == 200);
  const Redis redis;
  for (const auto& key : redis.keys("lockstep:" + test.consumer + ":*")) {
    redis.ask("DEL '" + key + "'");
  }
}

TEST_CASE("consumers: from the latest offset on means from the moment that it was started") {
  ConsumersTest test{"consumer_latest"};
  for (int id = 1; id <= 3; ++id) test.feed.upsert(id, "before");
  test.feed.flush();
  auto wanted = test.body("console");
  wanted["auto_offset_reset"] = "latest";
  REQUIRE(test.start(wanted).status == 201);
  // What comes while nobody reads, before a first offset was committed by reading.
  test.api.daemon.kill();
  test.feed.upsert(4, "while away");
  test.feed.flush();
  test.api.daemon.start();
  test.api.daemon.await_log("while away", seconds{30});
  test.feed.upsert(5, "at last");
  test.feed.flush();
  test.api.daemon.await_log("at last", seconds{30});
  CHECK(test.api.daemon.count_in_log("before") == 0);
  CHECK(test.api.daemon.stop() == 0);
}

TEST_CASE("consumers: a webhook calls the connection's URL") {
  const WebServer server{[](const auto&, std::size_t) { return WebServer::Reply{}; }};
  ConsumersTest test{"consumer_webhook", server.url("/changes?key=hidden")};
  test.feed.upsert(7, "called");
  test.feed.flush();
  const auto started = test.start(test.body("webhook", "web"));
  INFO(started.text);
  REQUIRE(started.status == 201);
  CHECK(started.body["group"] == "lockstep." + test.consumer + ".all");
  eventually(seconds{30}, "it is called", [&] { return server.taken() == 1; });
  CHECK(server.calls()[0].target == "/changes?key=hidden");
  CHECK_THAT(server.calls()[0].body, ContainsSubstring("called"));
  test.await_info("it is counted",
                  [](const json& shown) { return shown["counts"]["changes"] == 1; });
  CHECK_THAT(test.info().dump(), !ContainsSubstring("hidden"));
  std::ostringstream kept;
  kept << std::ifstream{test.state_dir / "consumers.json"}.rdbuf();
  CHECK_THAT(kept.str(), ContainsSubstring(test.consumer) && !ContainsSubstring("hidden"));
  CHECK(test.api.call("POST", test.stop_path()).status == 200);
}

TEST_CASE("consumers: what can't be started is refused, with all mistakes") {
  ConsumersTest test{"consumer_refused"};
  const auto mistakes = [&](const json& changes) {
    auto wanted = test.body("sync");
    wanted.update(changes);
    const auto reply = test.start(wanted);
    CHECK(reply.status == 400);
    return reply.body.value("detail", "");
  };
  CHECK_THAT(mistakes({{"consumer_id", "a b"}, {"kafka_topic", "c d"}}),
             ContainsSubstring("consumer_id: \"a b\" is not") &&
                 ContainsSubstring("kafka_topic: \"c d\" is not"));
  CHECK_THAT(mistakes({{"job_type", "repl"}, {"auto_offset_reset", "newest"}}),
             ContainsSubstring("job_type: repl is not known, expected sync, replica, ") &&
                 ContainsSubstring("auto_offset_reset: newest is not known, expected earliest"));
  CHECK_THAT(mistakes({{"connection_id", "targt"}}),
             ContainsSubstring("targt is not in connections; did you mean target?"));
  CHECK_THAT(mistakes({{"connection_id", nullptr}}), ContainsSubstring("connection_id: missing"));
  CHECK_THAT(mistakes({{"connection_id", "web"}}),
             ContainsSubstring("connection_id: web: its URL is not a PostgreSQL URL"));
  CHECK_THAT(mistakes({{"job_type", "webhook"}}),
             ContainsSubstring("connection_id: target: its URL is not a URL of the web"));
  CHECK_THAT(mistakes({{"max_event", 0}, {"max_time", 9'000'000'000'000'000'000}}),
             ContainsSubstring("max_event: is out of range, expected 1 to 1000000") &&
                 ContainsSubstring("max_time: is out of range, expected 1 to 604800 seconds"));
  CHECK_THAT(mistakes({{"max_events", 1}}), ContainsSubstring("did you mean max_event?"));

  auto taken = test.body("console");
  taken["consumer_id"] = test.name;  // the configuration's
  CHECK(test.refused(taken) == 409);
  CHECK(test.api.refusal("POST", "/consumer/stop?consumer_id=" + test.name) == 422);
  CHECK(test.api.refusal("POST", "/consumer/stop") == 422);
  CHECK(test.api.refusal("POST", "/consumer/stop?consumer_id=nobody") == 404);
  CHECK(test.api.call("GET", "/consumer/list").body["consumers"].empty());
  CHECK_FALSE(std::filesystem::exists(test.state_dir));

  const auto name = unique("consumer_away");
  const Api away{name, name, "127.0.0.1:1"};
  auto latest = test.body("console");
  latest["auto_offset_reset"] = "latest";
  CHECK(away.refusal("POST", "/consumer/start", latest) == 503);
  // Without a state_dir it runs, and does not come back.
  const auto passing = away.call("POST", "/consumer/start", test.body("console"));
  CHECK(passing.status == 201);
  CHECK(passing.body["kept"] == false);
  CHECK(away.daemon.logged("consumer is not kept"));
}

TEST_CASE("consumers: a file that can't be read is left as it is, and replication goes on") {
  ConsumersTest test{"consumer_file"};
  REQUIRE(test.start(test.body("replica")).status == 201);
  const auto second = unique("consumer_second");
  {
    const Api other{second, second, {}, "state_dir: '" + test.state_dir.string() + "'\n"};
    CHECK(other.call("GET", "/consumer/list").body["consumers"].empty());
    CHECK(other.refusal("POST", "/consumer/start", test.body("console")) == 500);
    CHECK(other.daemon.logged("belongs to another lockstepd that runs"));
  }
  CHECK(test.api.daemon.stop() == 0);
  const auto file = test.state_dir / "consumers.json";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  std::ostringstream before;
  before << std::ifstream{file}.rdbuf();
  test.api.daemon.start();
  CHECK(test.api.call("GET", "/consumer/list").body["consumers"].empty());
  CHECK(test.refused(test.body("replica")) == 500);
  CHECK(test.api.daemon.logged("is not what lockstepd writes"));
  eventually(seconds{30}, "the other pipeline is well",
             [&] { return test.api.call("GET", "/healthz").status == 200; });
  std::ostringstream after;
  after << std::ifstream{file}.rdbuf();
  CHECK(after.str() == before.str());
  CHECK(test.api.daemon.stop() == 0);
}
