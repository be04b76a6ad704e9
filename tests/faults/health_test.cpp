// What a daemon says of itself over HTTP when something is wrong, and what it can be told there.
#include <csignal>
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"
#include "web.hpp"

using namespace lockstep::test;
using std::chrono::seconds;
using Json = nlohmann::json;

namespace {

/// The target's side of connections stands still: packets come, no answer does.
class Silence {
 public:
  explicit Silence(const std::string& pids) {
    for (const auto& pid : Json::parse(pids)) {
      pids_.push_back(pid.get<pid_t>());
      ::kill(pids_.back(), SIGSTOP);
    }
    REQUIRE_FALSE(pids_.empty());
  }
  ~Silence() {
    for (const auto pid : pids_) ::kill(pid, SIGCONT);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  std::vector<pid_t> pids_;
};

struct Asked {
  explicit Asked(const Daemon& daemon) : port{daemon.http_port()} {}

  /// Waits until /healthz answers so, with a reason that holds `reason`.
  void await_health(int status, const std::string& reason = "") const {
    eventually(seconds{30}, "/healthz is " + std::to_string(status) + " " + reason,
               [&]() -> std::string {
                 const auto answer = web_call(port, "GET", "/healthz");
                 const bool is_so =
                     answer.status == status && answer.body.find(reason) != std::string::npos;
                 return is_so ? "" : std::to_string(answer.status) + " " + answer.body;
               });
  }
  Json status() const { return Json::parse(web_call(port, "GET", "/status").body); }
  std::string state() const { return status()["pipelines"][0]["tables"][0]["state"]; }
  WebAnswer post(const std::string& path) const { return web_call(port, "POST", path); }

  const int port;
};

}  // namespace

TEST_CASE("health: a target or a broker that falls silent while all is at rest is noticed") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "health"};
  DaemonConfig config{feed.name, {feed.topic}};
  config.listen = "127.0.0.1:0";
  const Daemon daemon{feed.name, config};
  const Asked asked{daemon};
  feed.load(100, 50);
  feed.await_equal(target);
  asked.await_health(200);
  CHECK(web_call(asked.port, "GET", "/readyz").status == 200);
  {
    const Silence silence{
        target.text("SELECT coalesce(json_agg(pid), '[]') FROM pg_stat_activity WHERE "
                    "application_name LIKE 'lockstep%'")};
    asked.await_health(503, "the target has not answered for");
    CHECK(web_call(asked.port, "GET", "/readyz").status == 503);
  }
  asked.await_health(200);
  {
    const Outage silence{"kafka", Outage::How::freeze};
    asked.await_health(503, "Kafka does not answer");
  }
  asked.await_health(200);
  feed.load(100, 50, 2);
  feed.await_equal(target);
}

TEST_CASE("control: a table is paused, resumed and retried over HTTP") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "control"};
  DaemonConfig config{feed.name, {feed.topic}};
  config.listen = "127.0.0.1:0";
  config.sink = {{"schema_change", "pause"}};
  Daemon daemon{feed.name, config};
  const Asked asked{daemon};
  const std::string table = "/pipelines/" + feed.name + "/tables/" + feed.topic;
  feed.load(100, 50);
  feed.await_equal(target);

  CHECK(asked.post(table + "/pause").status == 200);
  CHECK(asked.state() == "paused");
  const auto before = target.text("SELECT max(version) FROM " + feed.name);
  feed.upsert(1, "while paused");
  feed.flush();
  asked.await_health(200);  // somebody wants it so
  CHECK(target.text("SELECT max(version) FROM " + feed.name) == before);
  CHECK(asked.post(table + "/resume").status == 200);
  feed.await_equal(target);

  target.exec("ALTER TABLE " + feed.name + " RENAME note TO other");
  feed.upsert(2, "does not fit");
  asked.await_health(503, feed.topic + " stopped for");
  CHECK(web_call(asked.port, "GET", "/readyz").status == 200);
  const auto metrics = web_call(asked.port, "GET", "/metrics").body;
  CHECK(metrics.find("lockstep_table_state{pipeline=\"" + feed.name + "\",topic=\"" + feed.topic +
                     "\",state=\"stopped\"} 1") != std::string::npos);
  target.exec("ALTER TABLE " + feed.name + " RENAME other TO note");
  CHECK(asked.post(table + "/retry").status == 200);
  feed.await_equal(target);
  asked.await_health(200);
  CHECK(daemon.count_in_log("asked for over HTTP by=127.0.0.1:") == 3);

  CHECK(asked.post("/pipelines/none/pause").status == 404);
  CHECK(asked.post("/pipelines/" + feed.name + "/tables/none/pause").status == 404);
  CHECK(web_call(asked.port, "GET", table + "/pause").status == 405);
  CHECK(daemon.stop() == 0);
}
