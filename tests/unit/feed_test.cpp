// A feed: no client holds up another, or the publisher.
#include "lockstep/http/feed.hpp"
#include "catch.hpp"

using namespace lockstep::http;

TEST_CASE("feed: every client gets every text, in order, and is woken once for what waits") {
  Feed feed;
  int woken = 0;
  const auto one = feed.join("one", [&] { ++woken; });
  const auto two = feed.join("two", [] {});
  REQUIRE(one);
  REQUIRE(two);
  feed.publish("a");
  feed.publish("b");
  CHECK(woken == 1);
  CHECK(*one->take() == "a");
  CHECK(*one->take() == "b");
  CHECK(one->take() == nullptr);
  feed.publish("c");
  CHECK(woken == 2);
  CHECK(*two->take() == "a");
  feed.leave("two", two);
  CHECK(feed.clients() == 1);
}

TEST_CASE("feed: who does not take loses the newest, and is told how many") {
  Feed feed;
  const auto slow = feed.join("slow", [] {});
  for (std::size_t i = 0; i < FeedClient::most_texts + 7; ++i) feed.publish(std::to_string(i));
  CHECK(slow->take_dropped() == 7);
  CHECK(slow->take_dropped() == 0);
  CHECK(*slow->take() == "0");

  Feed large;
  const auto client = large.join("client", [] {});
  const std::string half(FeedClient::most_bytes / 2 + 1, 'x');
  large.publish(half);
  large.publish(half);
  CHECK(client->take_dropped() == 1);
  REQUIRE(client->take());
  large.publish(std::string(2 * FeedClient::most_bytes, 'x'));  // alone, it may be larger
  CHECK(client->take_dropped() == 0);
  // Who comes late is not sent more than that.
  const auto late = large.join("late", [] {});
  CHECK(late->take_dropped() == 0);
}

TEST_CASE("feed: a second client of the same id replaces the first") {
  Feed feed;
  bool woken = false;
  const auto first = feed.join("id", [&] { woken = true; });
  const auto second = feed.join("id", [] {});
  CHECK(first->is_replaced());
  CHECK(woken);
  CHECK(feed.clients() == 1);
  feed.leave("id", first);  // it is no longer the one
  CHECK(feed.clients() == 1);
  feed.publish("a");
  CHECK(first->take() == nullptr);
  CHECK(second->take() != nullptr);
}

TEST_CASE("feed: who comes late is told how it began, and what is newest") {
  Feed feed;
  const auto early = feed.join("early", [] {});
  feed.publish("forgotten");
  feed.begin("hello");
  for (std::size_t i = 0; i < Feed::most_remembered + 1; ++i) feed.publish(std::to_string(i));
  const auto late = feed.join("late", [] {});
  CHECK(*late->take() == "hello");
  CHECK(*late->take() == "1");
  CHECK(*early->take() == "forgotten");
  CHECK(*early->take() == "hello");
  CHECK(*early->take() == "0");
}

TEST_CASE("feed: has a bound for its clients") {
  Feed feed;
  std::vector<std::shared_ptr<FeedClient>> clients;
  for (std::size_t i = 0; i < Feed::most_clients; ++i) {
    clients.push_back(feed.join(std::to_string(i), [] {}));
  }
  CHECK(feed.join("one more", [] {}) == nullptr);
  CHECK(feed.join("7", [] {}) != nullptr);  // in the place of another
}
