#include "lockstep/kafka/consumer.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>

#include "catch.hpp"
#include "eventually.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep;
using namespace lockstep::kafka;
using lockstep::test::eventually;
using lockstep::test::Stack;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

struct Recorder : ConsumerListener {
  void on_assigned(const std::vector<TopicPartition>& partitions) override {
    assigned = partitions;
  }
  void on_revoked(bool) override { ++revocations; }
  void on_end_reached(const TopicPartition& tp, NextOffset end) override { ends[tp] = end; }
  void on_position_gone(const TopicPartition& tp, const std::string&) override {
    gone.push_back(tp);
  }
  void on_unreadable(const TopicPartition& tp, RecordOffset at, const std::string&) override {
    unreadable.emplace_back(tp, at);
  }

  std::vector<TopicPartition> assigned;
  int revocations = 0;
  Positions ends;
  std::vector<TopicPartition> gone;
  std::vector<std::pair<TopicPartition, RecordOffset>> unreadable;
};

/// A consumer of a topic of the test's own that holds offsets 0 to 9.
struct Fixture {
  explicit Fixture(const std::string& name)
      : topic{test::unique("consumer_test." + name)}, tp{topic, 0} {
    broker.create_topic(topic);
    for (int i = 0; i < 10; ++i)
      broker.produce(topic, 0, std::to_string(i), "v" + std::to_string(i));
    broker.flush();
    config = {Stack::from_environment().brokers, "group." + topic, {topic}, {}};
    open();
  }

  void open() {
    auto opened = Consumer::open(config, events);
    REQUIRE(opened);
    consumer = std::move(*opened);
    poll_until("the assignment", [&] { return !events.assigned.empty(); });
  }
  void poll_until(const std::string& what, const std::function<bool()>& condition) {
    eventually(seconds{20}, what, [&] {
      if (auto message = consumer->poll(milliseconds{50})) {
        got.push_back(message->offset().value);
      }
      return condition();
    });
  }
  std::vector<std::int64_t> read_to_end() {
    events.ends.clear();
    got.clear();
    poll_until("the end of the log", [&] { return events.ends.contains(tp); });
    return got;
  }

  test::Kafka broker;
  const std::string topic;
  const TopicPartition tp;
  ConsumerConfig config;
  Recorder events;
  std::unique_ptr<Consumer> consumer;
  std::vector<std::int64_t> got;
};

using Offsets = std::vector<std::int64_t>;

/// Overwrites one byte of the batch that begins at the offset, in the broker's own file.
void damage_batch(const TopicPartition& tp, RecordOffset at, std::int64_t byte, char value) {
  std::fstream log{std::string{std::getenv("LOCKSTEP_STATE_DIR")} + "/kafka/data/" + tp.topic +
                       "-" + std::to_string(tp.partition) + "/00000000000000000000.log",
                   std::ios::in | std::ios::out | std::ios::binary};
  REQUIRE(log);
  const auto read_number = [&](int bytes) {
    std::int64_t number = 0;
    for (int i = 0; i < bytes; ++i) number = number << 8 | log.get();
    return number;
  };
  for (std::int64_t begin = 0;;) {  // a batch is its offset (8), its length from here (4), the rest
    log.seekg(begin);
    const auto offset = read_number(8);
    const auto length = read_number(4);
    REQUIRE(log);
    if (offset == at.value) {
      log.seekp(begin + byte);
      log.put(value);
      return;
    }
    begin += 12 + length;
  }
}

}  // namespace

TEST_CASE(
    "consumer: reads from where it is told, else from the group's offset, else from the "
    "beginning") {
  Fixture f{"starts"};
  const auto fresh = f.consumer->assign({{f.tp, std::nullopt}}, seconds{5});
  REQUIRE(fresh);
  CHECK(fresh->empty());
  CHECK(f.read_to_end() == Offsets{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(f.events.ends[f.tp] == NextOffset{10});
  CHECK(f.consumer->known_end(f.tp) == NextOffset{10});

  REQUIRE(f.consumer->commit({{f.tp, {7}}}, seconds{5}));
  const auto of_the_group = f.consumer->assign({{f.tp, std::nullopt}}, seconds{5});
  REQUIRE(of_the_group);
  CHECK(*of_the_group == Positions{{f.tp, {7}}});
  CHECK(f.read_to_end() == Offsets{7, 8, 9});

  const auto told = f.consumer->assign({{f.tp, NextOffset{4}}}, seconds{5});
  REQUIRE(told);
  CHECK(told->empty());
  CHECK(f.read_to_end() == Offsets{4, 5, 6, 7, 8, 9});
}

TEST_CASE("consumer: an offset that is not in the log is told, not jumped over") {
  Fixture f{"gone"};
  const auto position = GENERATE(NextOffset{3}, NextOffset{11});
  if (position < NextOffset{5}) f.broker.delete_records(f.topic, 0, 5);
  REQUIRE(f.consumer->assign({{f.tp, position}}, seconds{5}));
  f.got.clear();
  f.poll_until("the news that the position is gone", [&] { return !f.events.gone.empty(); });
  CHECK(f.events.gone.front() == f.tp);
  CHECK(f.got.empty());
}

TEST_CASE("consumer: a topic that the broker does not know yet is asked for again, not gone") {
  Fixture f{"fresh"};
  const TopicPartition known{f.topic + ".known", 0};
  f.broker.create_topic(known.topic);
  const auto produce = [&](const std::string& topic, int records) {
    for (int i = 0; i < records; ++i) f.broker.produce(topic, 0, "k", "v");
    f.broker.flush();
  };
  produce(known.topic, 3);
  // What the metadata tell of is not known to its broker: so it is for a moment when a topic is
  // made, and here for as long as the metadata are not looked at again.
  f.consumer.reset();
  f.events = {};
  f.config.topics.push_back(known.topic);
  f.config.properties["topic.metadata.refresh.interval.ms"] = "600000";
  f.open();
  f.broker.delete_topic(f.topic);
  REQUIRE(f.consumer->assign({{f.tp, std::nullopt}, {known, NextOffset{0}}}, seconds{5}));
  f.got.clear();
  const auto later = Clock::now() + seconds{2};
  f.poll_until("an answer", [&] { return Clock::now() > later; });
  CHECK(f.got == Offsets{0, 1, 2});
  produce(known.topic, 2);
  f.poll_until("the known topic to go on", [&] { return f.got.size() >= 5; });
  CHECK(f.got == Offsets{0, 1, 2, 3, 4});

  f.broker.create_topic(f.topic);
  produce(f.topic, 1);
  f.poll_until("the record of the new one", [&] { return f.got.size() >= 6; });
  CHECK(f.got == Offsets{0, 1, 2, 3, 4, 0});
  CHECK(f.events.gone.empty());
}

TEST_CASE("consumer: a batch that can't be read is told, and nothing after it is handed out") {
  struct Case {
    std::string name;
    std::int64_t byte;  ///< of the batch
    char value;
  };
  const auto damage = GENERATE(Case{"codec 7", 22, 7}, Case{"format 9", 16, 9},
                               Case{"checksum", 17, 1}, Case{"a record", 64, 1});
  INFO(damage.name);
  Fixture f{"unreadable"};
  for (const auto* key : {"10", "11", "12"}) {  // each in a batch of its own
    f.broker.produce(f.topic, 0, key, "v");
    f.broker.flush();
  }
  damage_batch(f.tp, {11}, damage.byte, damage.value);
  REQUIRE(f.consumer->assign({{f.tp, NextOffset{9}}}, seconds{5}));
  f.got.clear();
  f.poll_until("the news of the batch", [&] { return !f.events.unreadable.empty(); });
  const auto later = Clock::now() + seconds{2};  // librdkafka jumps, or asks again, within 0.5 s
  f.poll_until("what comes later", [&] { return Clock::now() > later; });
  CHECK(f.got == Offsets{9, 10});
  CHECK(f.events.unreadable == std::vector{std::pair{f.tp, RecordOffset{11}}});

  f.consumer->resume({f.tp});  // it is not a pause of ours
  f.broker.produce(f.topic, 0, "13", "v");
  f.broker.flush();
  CHECK_FALSE(f.consumer->poll(seconds{1}));

  REQUIRE(f.consumer->assign({{f.tp, NextOffset{12}}}, seconds{5}));
  CHECK(f.read_to_end() == Offsets{12, 13});
}

TEST_CASE("consumer: what is assigned is not paused, whatever was paused before") {
  Fixture f{"paused"};
  REQUIRE(f.consumer->assign({{f.tp, NextOffset{0}}}, seconds{5}));
  f.read_to_end();
  f.consumer->pause({f.tp});
  REQUIRE(f.consumer->assign({{f.tp, NextOffset{4}}}, seconds{5}));
  CHECK(f.read_to_end() == Offsets{4, 5, 6, 7, 8, 9});
}

TEST_CASE("consumer: resuming what is not paused does not read it again") {
  Fixture f{"resumed"};
  REQUIRE(f.consumer->assign({{f.tp, NextOffset{0}}}, seconds{5}));
  f.got.clear();
  f.poll_until("some records", [&] { return f.got.size() == 5; });
  f.consumer->resume({f.tp});
  f.poll_until("the end of the log", [&] { return f.events.ends.contains(f.tp); });
  CHECK(f.got == Offsets{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("consumer: its eventfd tells that there is something to poll") {
  Fixture f{"wakes"};
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  REQUIRE(fd >= 0);
  f.consumer.reset();
  f.events = {};
  f.config.wake_fd = fd;
  f.open();
  REQUIRE(f.consumer->assign({{f.tp, NextOffset{0}}}, seconds{5}));
  f.read_to_end();
  const auto drain = [&] {
    std::uint64_t count = 0;
    static_cast<void>(read(fd, &count, sizeof count));
    int records = 0;
    while (f.consumer->poll(milliseconds{0})) ++records;
    return records;
  };
  const auto told_within = [&](milliseconds timeout) {
    pollfd wanted{fd, POLLIN, 0};
    return ::poll(&wanted, 1, static_cast<int>(timeout.count())) == 1;
  };
  drain();
  CHECK_FALSE(told_within(seconds{1}));
  for (int round = 0; round < 3; ++round) {
    f.broker.produce(f.topic, 0, "k", "v");
    f.broker.produce(f.topic, 0, "k", "v");
    f.broker.flush();
    int records = 0;
    eventually(seconds{10}, "both records", [&] {
      REQUIRE(told_within(seconds{10}));
      records += drain();
      return records == 2;
    });
  }
  f.consumer.reset();
  close(fd);
}

TEST_CASE("consumer: closing leaves the group although the membership is static") {
  Fixture f{"leaves"};
  REQUIRE(f.broker.members(f.config.group) == 1);
  f.consumer->close(seconds{8});
  CHECK(f.events.revocations == 1);
  CHECK(f.broker.members(f.config.group) == 0);
}

TEST_CASE(
    "consumer: a killed member has its partitions back without waiting for the session timeout") {
  Fixture f{"returns"};
  f.consumer.reset();  // goes without leaving, as a killed process does
  f.events.assigned.clear();
  const auto begin = Clock::now();
  f.open();
  CHECK(f.events.assigned == std::vector<TopicPartition>{f.tp});
  CHECK(Clock::now() - begin < seconds{8});  // the session timeout is 10 s
}

TEST_CASE("consumer: the later of two members with one instance id makes the earlier one give up") {
  Fixture f{"fenced"};
  Recorder later_events;
  const auto later = Consumer::open(f.config, later_events);
  REQUIRE(later);
  eventually(seconds{20}, "the later member's assignment", [&] {
    (*later)->poll(milliseconds{50});
    return !later_events.assigned.empty();
  });
  f.poll_until("the first to be fenced", [&] { return f.consumer->fatal_error().has_value(); });
  CHECK_THAT(*f.consumer->fatal_error(), ContainsSubstring("group.instance.id"));
}

TEST_CASE("consumer: without a broker every wait ends") {
  Recorder events;
  auto opened = Consumer::open({"127.0.0.1:1", "nobody", {"nothing"}, {}}, events);
  REQUIRE(opened);
  auto& consumer = **opened;
  const auto within = [](seconds limit, const std::function<void()>& body) {
    const auto begin = Clock::now();
    body();
    CHECK(Clock::now() - begin < limit);
  };
  eventually(seconds{20}, "the loss to be noticed", [&] {
    CHECK_FALSE(consumer.poll(milliseconds{50}));
    return !consumer.reachable();
  });
  within(seconds{5}, [&] {
    CHECK_FALSE(consumer.commit({{{"nothing", 0}, {1}}}, milliseconds{500}).has_value());
  });
  within(seconds{5}, [&] {
    CHECK_FALSE(consumer.assign({{{"nothing", 0}, std::nullopt}}, milliseconds{500}).has_value());
  });
  within(seconds{5}, [&] { CHECK_FALSE(consumer.partition_count("nothing", milliseconds{500})); });
  within(seconds{8}, [&] { consumer.close(seconds{3}); });
}

TEST_CASE("consumer: a property that librdkafka does not know is an error that names it") {
  Recorder events;
  const auto opened = Consumer::open({"127.0.0.1:1", "g", {"t"}, {{"no.such.thing", "1"}}}, events);
  REQUIRE_FALSE(opened.has_value());
  CHECK_THAT(opened.error().message, ContainsSubstring("no.such.thing"));
}

TEST_CASE("consumer: topics are found by name and by pattern") {
  test::Kafka broker;
  const std::string prefix = test::unique("find_test") + ".";
  const std::string a = prefix + "a";
  const std::string b = prefix + "b";
  broker.create_topic(a, 2);
  broker.create_topic(b, 1);
  const auto& brokers = Stack::from_environment().brokers;
  const auto found = find_topics({brokers, "g", {"^" + prefix + ".*"}, {}}, seconds{5});
  REQUIRE(found);
  CHECK(*found == std::map<std::string, int>{{a, 2}, {b, 1}});
  const auto named = find_topics({brokers, "g", {a, prefix + "none"}, {}}, seconds{5});
  REQUIRE(named);
  CHECK(*named == std::map<std::string, int>{{a, 2}, {prefix + "none", 0}});
  CHECK_FALSE(find_topics({"127.0.0.1:1", "g", {"t"}, {}}, milliseconds{500}).has_value());
}
