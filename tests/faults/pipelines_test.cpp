// Several pipelines in one daemon: the end of one is not the end of the others.
#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

TEST_CASE("a pipeline that ends by itself ends its daemon only if it is the last one") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed contested{kafka, target, "contested"};
  Feed quiet{kafka, target, "quiet"};
  // Membership is the file's: what takes one pipeline's place is another daemon with the same id.
  const auto pipeline = [&](const Feed& feed) {
    DaemonConfig config{feed.name, {feed.topic}};
    config.properties = {{"group.instance.id", contested.name}};
    return config;
  };
  contested.load(100, 50);
  Daemon both{contested.name + "_both", std::vector{pipeline(contested), pipeline(quiet)}};
  contested.await_equal(target);

  // Each puts the other out: the one that is put out a second time gives up.
  Daemon one{contested.name + "_one", pipeline(contested)};
  both.await_log("pipeline ended, the others go on", seconds{30});
  CHECK(both.lines_with("pipeline ended").at(0).find("pipeline=" + contested.name) !=
        std::string::npos);
  CHECK(both.lines_with("pipeline ended").at(0).find("same group.instance.id") !=
        std::string::npos);
  contested.load(100, 50, 2);
  quiet.load(100, 50);
  contested.await_equal(target);
  quiet.await_equal(target);
  CHECK(both.running());

  both.reload();  // starts it again, and that puts out the other for the second time
  both.await_log("pipeline started pipeline=" + contested.name, seconds{10}, 2);
  CHECK(one.await_end(seconds{30}) == 1);
  CHECK(one.count_in_log("no pipeline is left") == 1);
  contested.load(100, 50, 3);
  quiet.load(100, 50, 2);
  contested.await_equal(target);
  quiet.await_equal(target);
  check_only_forward(target, contested.name);
  check_only_forward(target, quiet.name);
  CHECK(both.stop() == 0);
}
