// Several partitions, several members of a group, topics that come later.
#include "catch.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "pipeline_fixture.hpp"
#include "stack.hpp"

using namespace lockstep;
using lockstep::test::eventually;
using Fixture = lockstep::test::PipelineFixture;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Verb = pipeline::Command::Verb;

namespace {

/// Versions from `first` to before `last` of each of `ids` keys.
void produce_versions(Fixture& f, int ids, int first, int last) {
  for (int version = first; version < last; ++version) {
    for (int id = 0; id < ids; ++id) f.produce("a", id, std::to_string(version));
  }
  f.broker.flush();
}

/// Each key was given the versions from 0 on, once and in order.
void await_versions(Fixture& f, int ids, int count) {
  const auto changes = static_cast<std::size_t>(ids) * static_cast<std::size_t>(count);
  eventually(seconds{40}, std::to_string(changes) + " changes", [&]() -> std::string {
    const std::scoped_lock lock{f.applied.mutex};
    return f.applied.changes >= changes ? "" : std::to_string(f.applied.changes);
  });
  const std::scoped_lock lock{f.applied.mutex};
  CHECK(f.applied.changes == changes);
  std::vector<std::string> want;
  for (int version = 0; version < count; ++version) want.push_back(std::to_string(version));
  for (int id = 0; id < ids; ++id) {
    REQUIRE(f.applied.history["a/" + std::to_string(id)] == want);
  }
}

std::size_t assigned(const std::unique_ptr<Fixture::Running>& member) {
  const auto status = member->pipeline.status(seconds{5});
  return status ? status->assigned : 0;
}

struct Silent : kafka::ConsumerListener {
  void on_assigned(const std::vector<TopicPartition>&) override {}
  void on_revoked(bool) override {}
  void on_end_reached(const TopicPartition&, NextOffset) override {}
  void on_position_gone(const TopicPartition&, const std::string&) override {}
  void on_unreadable(const TopicPartition&, RecordOffset, const std::string&) override {}
};

}  // namespace

TEST_CASE("sharing: a topic's partitions each keep their order and have an offset of their own") {
  Fixture f{"partitions", {"a"}, 3};
  f.limits.max_events = 100;
  produce_versions(f, 10, 0, 100);
  f.start();
  await_versions(f, 10, 100);
  for (int partition = 0; partition < 3; ++partition) {
    const auto end = f.broker.end(f.topic("a"), partition);
    f.await_committed("a", end, partition);
    CHECK(f.applied.positions[{f.topic("a"), partition}] == NextOffset{end});
  }
  CHECK(f.lane("a").partitions.size() == 3);
  CHECK_FALSE(f.applied.torn);
}

TEST_CASE("sharing: a truncate in a topic of several partitions stops its table, and no other") {
  Fixture f{"truncate", {"a", "b"}, 2};
  for (int i = 0; i < 10; ++i) f.produce("a", i, "1");
  f.produce_truncate("a");
  f.broker.flush();
  const auto at = f.broker.end(f.topic("a"), 0) - 1;
  f.start();
  f.await_state("a", Lane::State::stopped);
  const auto cause = f.lane("a").cause;
  INFO(cause);
  CHECK(cause.find(f.topic("a") + "[0]@" + std::to_string(at)) != std::string::npos);
  CHECK(cause.find("TRUNCATE in a topic of several partitions") != std::string::npos);
  f.produce("b", 0, "1");
  f.broker.flush();
  eventually(seconds{20}, "the other goes on", [&] {
    const std::scoped_lock lock{f.applied.mutex};
    return f.applied.rows.contains("b/0");
  });
  f.await_committed("a", at, 0);

  {  // the operator truncates by hand and passes over it
    const std::scoped_lock lock{f.applied.mutex};
    f.applied.positions[{f.topic("a"), 0}] = NextOffset{at + 1};
  }
  f.produce("a", 10, "1");
  f.broker.flush();
  REQUIRE(f.tell(Verb::retry, "a"));
  f.await_rows(12);
}

TEST_CASE("sharing: a truncate in a topic of one partition is applied in its place") {
  Fixture f{"truncate_one", {"a"}};
  f.produce("a", 1, "1");
  f.produce_truncate("a");
  f.produce("a", 2, "1");
  f.broker.flush();
  f.start();
  f.await_committed("a", 3);
  CHECK(f.lane("a").state == Lane::State::reading);
  CHECK(f.applied.changes == 3);
}

TEST_CASE("sharing: a topic that is made later is read from its beginning if a pattern matches") {
  Fixture f{"pattern", {"a"}};
  f.topics = {"^" + f.name + "\\.public\\..*"};
  f.properties = {{"topic.metadata.refresh.interval.ms", "500"}};
  f.produce("a", 1, "1");
  f.broker.flush();
  f.start();
  f.await_rows(1);
  f.create_topic("later");
  f.produce("later", 1, "1");
  f.produce("a", 2, "1");
  f.broker.flush();
  f.await_rows(3);
  CHECK(f.status().assigned == 2);
  CHECK(f.applied.changes == 3);
  CHECK_FALSE(f.applied.torn);
}

TEST_CASE("sharing: two members have half of a topic each, and one takes over the other's") {
  Fixture f{"members", {"a"}, 4};
  f.limits.max_events = 50;
  produce_versions(f, 20, 0, 20);
  auto first = f.join("first");
  auto second = f.join("second");
  eventually(seconds{30}, "each has half",
             [&] { return assigned(first) == 2 && assigned(second) == 2; });
  produce_versions(f, 20, 20, 100);
  await_versions(f, 20, 100);

  // Each is at a batch of its half, and has more of it, when the first one goes.
  f.refuse("a", {SinkError::Kind::unavailable, "not now"});
  produce_versions(f, 20, 100, 300);
  const auto works = [](const std::unique_ptr<Fixture::Running>& member) {
    const auto status = member->pipeline.status(seconds{5});
    return status && status->lag > 0 && !status->target_outage.empty();
  };
  eventually(seconds{30}, "both have something to do",
             [&] { return works(first) && works(second); });
  first.reset();
  f.mend();
  produce_versions(f, 20, 300, 320);
  await_versions(f, 20, 320);
  CHECK(assigned(second) == 4);
  CHECK(second->pipeline.status(seconds{5})->counters.changes > 0);
}

TEST_CASE("sharing: a member that is put out once joins again and goes on") {
  Fixture f{"fenced", {"a"}};
  produce_versions(f, 10, 0, 10);
  auto member = f.join("contested");
  await_versions(f, 10, 10);

  auto config = f.config().consumer;
  config.properties["group.instance.id"] = "contested";
  Silent listener;
  auto rival = kafka::Consumer::open(config, listener);
  REQUIRE(rival);
  eventually(seconds{30}, "the rival has put it out and is put out itself", [&] {
    (*rival)->poll(milliseconds{10});
    return (*rival)->fatal_error().has_value();
  });
  rival->reset();
  produce_versions(f, 10, 10, 20);
  await_versions(f, 10, 20);
  CHECK_FALSE(member->ended);
  f.await_committed("a", 200);
}

TEST_CASE("sharing: of two members with one group.instance.id one gives up, the other goes on") {
  Fixture f{"twins", {"a"}};
  produce_versions(f, 10, 0, 10);
  auto first = f.join("twin");
  await_versions(f, 10, 10);
  auto second = f.join("twin");
  eventually(seconds{30}, "one gives up", [&] { return first->ended || second->ended; });
  const auto& loser = first->ended ? first : second;
  const auto& winner = first->ended ? second : first;
  CHECK(loser->cause.find("group.instance.id") != std::string::npos);
  produce_versions(f, 10, 10, 20);
  await_versions(f, 10, 20);
  CHECK_FALSE(winner->ended);
}
