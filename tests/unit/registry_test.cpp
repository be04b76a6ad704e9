// Pipelines by name, without a broker that answers.
#include "lockstep/pipeline/registry.hpp"

#include "catch.hpp"
#include "eventually.hpp"

using namespace lockstep;
using namespace lockstep::pipeline;
using lockstep::test::eventually;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

struct IdleSink : Sink {
  Result<SinkPositions, SinkError> positions(const std::vector<TopicPartition>&) override {
    return SinkPositions{};
  }
  Result<Done, SinkError> apply(const Batch&) override { return done; }
};

Recipe recipe(const std::string& name, const std::map<std::string, std::string>& properties = {}) {
  const auto make_sinks = [] {
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<IdleSink>());
    return sinks;
  };
  return {{name,
           {.brokers = "127.0.0.1:1",
            .group = "lockstep." + name,
            .topics = {"t"},
            .properties = properties},
           {}},
          make_sinks};
}

/// One that ends at once, by a property that does not exist.
Recipe failing(const std::string& name) {
  return recipe(name, {{"no.such.property", "1"}});
}

std::optional<Registry::Overview> find(const Registry& registry, const std::string& name) {
  for (auto& one : registry.list()) {
    if (one.name == name) return one;
  }
  return std::nullopt;
}

void await_running(const Registry& registry, const std::string& name) {
  eventually(seconds{20}, name + " runs", [&] {
    const auto pipeline = registry.find(name);
    return pipeline && pipeline->status(seconds{5}).has_value();
  });
}

void await_ended(const Registry& registry, const std::string& name) {
  eventually(seconds{20}, name + " has ended", [&] { return !find(registry, name)->running; });
}

}  // namespace

TEST_CASE("registry: pipelines are started, found, listed by name and stopped, each alone") {
  Registry registry;
  CHECK(registry.list().empty());
  CHECK(registry.find("a") == nullptr);
  CHECK_FALSE(registry.stop("a").has_value());
  REQUIRE(registry.start(recipe("b")));
  REQUIRE(registry.start(recipe("a")));
  await_running(registry, "a");
  await_running(registry, "b");
  const auto list = registry.list();
  REQUIRE(list.size() == 2);
  CHECK(list[0].name == "a");
  CHECK(list[1].name == "b");
  CHECK(list[0].running);
  CHECK(list[0].cause.empty());
  CHECK(Clock::now() - list[0].last_sign_of_life < seconds{10});
  CHECK(registry.find("a")->status(seconds{5})->name == "a");

  const auto held = registry.find("a");
  REQUIRE(registry.stop("a"));
  CHECK(registry.find("a") == nullptr);
  CHECK_FALSE(find(registry, "a").has_value());
  CHECK_FALSE(held->status(seconds{5}).has_value());  // whoever holds it still may ask
  CHECK(find(registry, "b")->running);
  REQUIRE(registry.start(recipe("a")));
  await_running(registry, "a");
}

TEST_CASE("registry: a name that runs already is an error, and leaves the first alone") {
  Registry registry;
  REQUIRE(registry.start(recipe("a")));
  await_running(registry, "a");
  const auto first = registry.find("a");
  const auto again = registry.start(recipe("a"));
  REQUIRE_FALSE(again);
  CHECK(again.error() == "pipeline a runs already");
  CHECK(registry.find("a") == first);
  CHECK(first->status(seconds{5}));
}

TEST_CASE("registry: a pipeline that ends by itself is listed with its cause, and ends no other") {
  Registry registry;
  REQUIRE(registry.start(recipe("sound")));
  REQUIRE(registry.start(failing("ends")));
  await_ended(registry, "ends");
  const auto ended = find(registry, "ends");
  CHECK(ended->cause.find("no.such.property") != std::string::npos);
  const auto pipeline = registry.find("ends");
  REQUIRE(pipeline);
  CHECK(pipeline->status(seconds{60}).error() == "the pipeline does not run");
  await_running(registry, "sound");

  // It is started again by whoever asks, or with retry().
  registry.retry();
  CHECK(registry.find("ends") != pipeline);
  await_ended(registry, "ends");
  REQUIRE(registry.start(recipe("ends")));
  await_running(registry, "ends");
  CHECK(find(registry, "ends")->cause.empty());
}

TEST_CASE("registry: an ended pipeline can be stopped, and is forgotten") {
  Registry registry;
  REQUIRE(registry.start(failing("ends")));
  await_ended(registry, "ends");
  REQUIRE(registry.stop("ends"));
  CHECK(registry.list().empty());
}

TEST_CASE("registry: retrying is harmless where nothing has stopped") {
  Registry registry;
  registry.retry();
  REQUIRE(registry.start(recipe("a")));
  await_running(registry, "a");
  const auto pipeline = registry.find("a");
  registry.retry();
  CHECK(registry.find("a") == pipeline);
  CHECK(find(registry, "a")->running);
}

TEST_CASE("registry: its end stops all, at the same time") {
  std::shared_ptr<Pipeline> one;
  auto begin = Clock::now();
  {
    Registry registry;
    for (const auto* name : {"a", "b", "c", "d"}) REQUIRE(registry.start(recipe(name)));
    for (const auto* name : {"a", "b", "c", "d"}) await_running(registry, name);
    one = registry.find("a");
    begin = Clock::now();
  }
  CHECK(Clock::now() - begin < seconds{9});
  CHECK_FALSE(one->status(seconds{5}).has_value());
}
