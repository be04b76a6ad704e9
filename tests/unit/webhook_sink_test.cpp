// The sink against real HTTP servers; the pipeline's side of it is played here.
#include <atomic>
#include <ctime>
#include <deque>
#include <mutex>

#include "catch.hpp"
#include "eventually.hpp"
#include "https_server.hpp"
#include "lockstep/webhook/sink.hpp"
#include "request.hpp"
#include "web_server.hpp"

using namespace lockstep;
using lockstep::test::eventually;
using lockstep::test::HttpsServer;
using lockstep::test::WebServer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Reply = WebServer::Reply;
using Clock = std::chrono::steady_clock;

namespace {

const Relation statuses{"public", "statuses"};

Column text_column(const std::string& name) {
  Column column;
  column.name = name;
  column.type = ValueType::text;
  return column;
}
const Layout of_key{{text_column("id")}};
const Layout of_row{{text_column("id"), text_column("status")}};

/// A batch of one partition, made change by change.
class Filled {
 public:
  explicit Filled(std::int64_t begin, std::uint64_t generation = 0) : offset_{begin} {
    batch_.generation = generation;
    batch_.slices.push_back({{"db.public.statuses", 0}, NextOffset{begin}, {begin}, 0, ""});
  }

  Filled& add(const std::string& id, const std::string& status, Op op = Op::update) {
    Change change;
    change.op = op;
    change.relation = &statuses;
    change.offset = {offset_++};
    change.source_ts_us = 1'795'294'979'436'641;
    if (op != Op::truncate) {
      change.key_layout = &of_key;
      change.key = cells({id});
      change.row_layout = &of_row;
      change.row = cells({id, status});
    }
    batch_.changes.push_back(change);
    batch_.origins.push_back({batch_.arena.copy("key " + id), "value", {}, {}});
    batch_.slices.front().next = {offset_};
    return *this;
  }

  const Batch& batch() const { return batch_; }

 private:
  std::span<const Cell> cells(const std::vector<std::string>& texts) {
    std::vector<Cell> made;
    for (const auto& text : texts) made.emplace_back(batch_.arena.copy(text));
    return batch_.arena.copy(std::span<const Cell>{made});
  }

  Batch batch_;
  std::int64_t offset_;
};

struct Fixture {
  explicit Fixture(WebhookRoute route, std::size_t max_bytes = 64 * 1024 * 1024,
                   std::size_t dead_letters_per_minute = 60)
      : sink{webhook::make_sink(
            {"notify.all", std::move(route), max_bytes, dead_letters_per_minute})} {
    sink->late()->attach([] {},
                         [this](std::span<const Letter> sent) -> Result<Done, std::string> {
                           const std::scoped_lock lock{mutex};
                           if (brokers_are_away) return std::string{"no brokers"};
                           for (const auto& letter : sent) {
                             letters.push_back(std::string{letter.key.value_or("")} + ": " +
                                               std::string{letter.error});
                           }
                           return done;
                         });
  }

  /// How many changes are answered for, also those that are no calls.
  std::int64_t answered() {
    for (auto& answer : sink->late()->take_answers()) {
      for (const auto& slice : answer.slices) {
        covered += slice.next.value - slice.expected->value;
      }
      of_generation[answer.generation] += answer.changes;
      for (const auto& [rule, changes] : answer.skipped) skipped[rule] += changes;
      dead += answer.letters;
      if (answer.refusal) refusals.push_back(*answer.refusal);
    }
    return covered;
  }
  void await(std::int64_t changes) {
    eventually(seconds{40}, std::to_string(changes) + " answered",
               [&] { return answered() == changes; });
  }

  std::mutex mutex;
  bool brokers_are_away = false;
  std::vector<std::string> letters;
  std::int64_t covered = 0;
  std::uint64_t dead = 0;
  std::map<std::uint64_t, std::uint64_t> of_generation;
  std::map<std::string, std::uint64_t> skipped;
  std::vector<LateRefusal> refusals;
  std::unique_ptr<Sink> sink;  // last: it calls the above
};

WebhookRoute to(const WebServer& server) {
  WebhookRoute route;
  route.name = "all";
  route.url = server.url("/status");
  route.body = "{status}";
  route.timeout = seconds{5};
  return route;
}

WebhookRoute to(const HttpsServer& server) {
  WebhookRoute route;
  route.name = "all";
  route.url = server.url();
  route.ca = server.certificate();
  route.body = "{status}";
  route.timeout = seconds{20};
  return route;
}

/// Changes of as many rows.
std::unique_ptr<Filled> rows(int count) {
  auto filled = std::make_unique<Filled>(0);
  for (int i = 0; i < count; ++i) filled->add(std::to_string(i), "s");
  return filled;
}

std::uint64_t count_of(const DestinationStatus& status, CallOutcome outcome) {
  return status.calls.at(static_cast<std::size_t>(outcome));
}

}  // namespace

TEST_CASE("webhook sink: a change is a call, with what the route says; connections are kept") {
  const WebServer server{[](const auto&, std::size_t) { return Reply{}; }};
  auto route = to(server);
  route.method = "PUT";
  route.headers = {{"X-Api-Key", "one"}, {"content-type", "text/plain"}, {"X-Empty", ""}};
  route.secret = "s3cret";
  route.max_in_flight = 4;
  Fixture f{route};
  Filled filled{10};
  for (int i = 0; i < 200; ++i) filled.add(std::to_string(i), "shipped");
  REQUIRE(f.sink->apply(filled.batch()));
  f.await(200);
  CHECK(f.of_generation[0] == 200);

  const auto calls = server.calls();
  REQUIRE(calls.size() == 200);
  CHECK(calls[0].method == "PUT");
  CHECK(calls[0].target == "/status");
  CHECK(calls[0].body == "\"shipped\"");
  const auto headers = calls[0].headers;
  CHECK(headers.at("x-api-key") == "one");
  CHECK(headers.at("x-empty").empty());
  CHECK(headers.at("content-type") == "text/plain");
  CHECK(headers.at("idempotency-key") == "notify.all/db.public.statuses/0/10");
  CHECK(headers.at("x-lockstep-signature") == webhook::signature("s3cret", "\"shipped\""));
  CHECK(server.connections() <= 4);
  CHECK(server.most_at_once() <= 4);
}

TEST_CASE("webhook sink: hundreds of slow calls are under way at once") {
  const WebServer server{[](const auto&, std::size_t) { return Reply{200, seconds{1}}; }};
  auto route = to(server);
  route.max_in_flight = 400;
  Fixture f{route};
  Filled filled{0};
  for (int i = 0; i < 800; ++i) filled.add(std::to_string(i), "s");
  const auto begin = Clock::now();
  REQUIRE(f.sink->apply(filled.batch()));
  CHECK(Clock::now() - begin < seconds{1});  // it has only taken them
  f.await(800);
  CHECK(server.most_at_once() > 300);
  CHECK(Clock::now() - begin < seconds{10});
}

TEST_CASE("webhook sink: what fails is tried again, and the row's later changes wait for it") {
  std::map<std::string, int> tries;
  const WebServer server{[&](const WebServer::Call& call, std::size_t) {
    const int before = tries[call.body]++;
    if (call.body == "\"a1\"" && before == 0) return Reply{500};
    if (call.body == "\"b1\"" && before == 0) return Reply{429, {}, {{"Retry-After", "1"}}};
    return Reply{};
  }};
  Fixture f{to(server)};
  REQUIRE(f.sink->apply(Filled{0}
                            .add("a", "a1")
                            .add("b", "b1")
                            .add("a", "a2")
                            .add("b", "b2")
                            .add("c", "c1")
                            .batch()));
  f.await(5);
  std::map<std::string, std::vector<std::string>> of_row;
  std::map<std::string, std::set<std::string>> keys;
  for (const auto& call : server.calls()) {
    of_row[call.body.substr(1, 1)].push_back(call.body);
    keys[call.body].insert(call.headers.at("idempotency-key"));
  }
  CHECK(of_row["a"] == std::vector<std::string>{"\"a1\"", "\"a1\"", "\"a2\""});
  CHECK(of_row["b"] == std::vector<std::string>{"\"b1\"", "\"b1\"", "\"b2\""});
  const auto status = f.sink->late()->status();
  CHECK(count_of(status, CallOutcome::taken) == 5);
  CHECK(count_of(status, CallOutcome::failed) == 1);
  CHECK(count_of(status, CallOutcome::too_many) == 1);
  CHECK(status.retries == 2);
  CHECK(status.duration.count() == 7);
  CHECK(status.waiting + status.in_flight == 0);
  REQUIRE(status.last_failure);
  CHECK_THAT(status.last_failure->cause, ContainsSubstring("HTTP "));
  for (const auto& [body, of_body] : keys) CHECK(of_body.size() == 1);
  CHECK(f.letters.empty());
}

TEST_CASE("webhook sink: a destination rests as long as it asks for, in seconds or as a date") {
  const bool as_date = GENERATE(false, true);
  const auto in_two_seconds = [&] {
    if (!as_date) return std::string{"2"};
    const std::time_t then = std::time(nullptr) + 3;  // its second may be over soon
    std::array<char, 64> text{};
    std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&then));
    return std::string{text.data()};
  };
  const WebServer server{[&](const auto&, std::size_t nth) {
    return nth == 0 ? Reply{503, {}, {{"Retry-After", in_two_seconds()}}} : Reply{};
  }};
  auto route = to(server);
  route.max_in_flight = 1;
  Fixture f{route};
  REQUIRE(f.sink->apply(Filled{0}.add("a", "a").add("b", "b").batch()));
  eventually(seconds{5}, "it rests",
             [&] { return f.sink->late()->status().breaker == Breaker::throttled; });
  const auto next = f.sink->late()->status().next_call;
  REQUIRE(next);
  CHECK(*next - std::chrono::system_clock::now() < seconds{4});
  f.await(2);
  CHECK(f.sink->late()->status().breaker == Breaker::closed);
  const auto calls = server.calls();
  REQUIRE(calls.size() == 3);
  CHECK(calls[1].at - calls[0].at >= milliseconds{1500});
  CHECK(calls[1].at - calls[0].at < seconds{6});
}

TEST_CASE("webhook sink: what is refused for good is a dead letter, once the brokers have it") {
  const WebServer server{[&](const WebServer::Call& call, std::size_t) {
    return Reply{call.body == "\"bad\"" ? 400 : 200};
  }};
  auto route = to(server);
  Fixture f{route};
  f.brokers_are_away = true;
  REQUIRE(f.sink->apply(Filled{0}.add("a", "bad").add("a", "good").add("b", "good").batch()));
  f.await(2);
  {
    const std::scoped_lock lock{f.mutex};
    f.brokers_are_away = false;
  }
  f.await(3);
  CHECK(f.letters == std::vector<std::string>{"key a: HTTP 400"});
  CHECK(f.dead == 1);
  CHECK(f.of_generation[0] == 2);
  CHECK(server.calls().size() == 3);
}

TEST_CASE("webhook sink: a flood of what is refused stops the topic; no more becomes letters") {
  std::atomic<bool> is_mended = false;
  const WebServer server{[&](const auto&, std::size_t) { return Reply{is_mended ? 200 : 422}; }};
  auto route = to(server);
  route.max_in_flight = 8;
  Fixture f{route, 64 * 1024 * 1024, 5};
  const auto fill = [](std::int64_t from, std::int64_t to, std::uint64_t generation) {
    auto filled = std::make_unique<Filled>(from, generation);
    for (auto i = from; i < to; ++i) filled->add(std::to_string(i % 50), "s");  // two of a row
    return filled;
  };
  REQUIRE(f.sink->apply(fill(0, 100, 1)->batch()));
  eventually(seconds{10}, "it is refused, the letters are delivered", [&] {
    f.answered();
    return f.refusals.size() == 1 && f.dead == 5;
  });
  CHECK(f.refusals[0].record.partition == TopicPartition{"db.public.statuses", 0});
  CHECK_THAT(f.refusals[0].cause,
             ContainsSubstring("HTTP 422; and there were 5 dead letters in a minute"));
  REQUIRE(f.sink->late()->settle(seconds{5}));
  const auto called = server.calls().size();
  CHECK(called <= 5 + 8 + 1);
  REQUIRE(f.sink->apply(fill(100, 110, 1)->batch()));  // what was on its way: it is dropped, too
  REQUIRE(f.sink->late()->settle(seconds{5}));
  CHECK(server.calls().size() == called);
  CHECK(f.answered() == 5);

  // Tried again: all but the letters, which are done.
  is_mended = true;
  f.sink->late()->forget("db.public.statuses", 2);
  REQUIRE(f.sink->apply(fill(5, 110, 2)->batch()));
  f.await(5 + 105);
  CHECK(f.of_generation[2] == 105);
  CHECK(f.letters.size() == 5);
  CHECK(f.refusals.size() == 1);
}

TEST_CASE("webhook sink: a key that is revoked, or a URL that is gone, makes no letters") {
  const int status = GENERATE(401, 403, 404, 410, 302);
  std::atomic<bool> is_mended = false;
  const WebServer server{[&](const auto&, std::size_t) { return Reply{is_mended ? 200 : status}; }};
  auto route = to(server);
  route.max_in_flight = 4;
  Fixture f{route, 64 * 1024 * 1024, 5};
  Filled filled{0};
  for (int i = 0; i < 40; ++i) filled.add(std::to_string(i), "s");
  REQUIRE(f.sink->apply(filled.batch()));
  eventually(seconds{20}, "it is the destination's trouble",
             [&] { return !f.sink->late()->status().outage.empty(); });
  CHECK_THAT(f.sink->late()->status().outage,
             ContainsSubstring("HTTP " + std::to_string(status) + ", "));
  is_mended = true;
  f.await(40);
  CHECK(f.letters.empty());
  CHECK(f.refusals.empty());
}

TEST_CASE("webhook sink: a dead destination costs bounded memory, and gets all once it is back") {
  auto server = std::make_unique<WebServer>([](const auto&, std::size_t) { return Reply{500}; });
  const int port = server->port();
  auto route = to(*server);
  Fixture f{route, 500 * 1024};
  std::int64_t given = 0;
  Result<Done, SinkError> last = done;
  while (last) {
    REQUIRE(given < 2000);  // of half a kilobyte and more
    Filled filled{given};
    for (int i = 0; i < 100; ++i) filled.add(std::to_string(given + i), "s");
    last = f.sink->apply(filled.batch());
    if (last) given += 100;
  }
  CHECK(given >= 200);
  CHECK(last.error().kind == SinkError::Kind::busy);
  CHECK_THAT(last.error().message,
             ContainsSubstring(std::to_string(given) + " changes wait for http://127.0.0.1:"));
  CHECK_THAT(last.error().message, ContainsSubstring("HTTP 500"));
  eventually(seconds{10}, "the outage is noticed",
             [&] { return !f.sink->late()->status().outage.empty(); });
  const auto status = f.sink->late()->status();
  CHECK_THAT(status.outage, ContainsSubstring("HTTP 500"));
  CHECK((status.breaker == Breaker::half_open || status.next_call.has_value()));
  CHECK(status.breaker != Breaker::closed);
  const auto tried = server->calls().size();
  server.reset();
  server = std::make_unique<WebServer>([](const auto&, std::size_t) { return Reply{}; }, port);
  f.await(given);
  CHECK(tried < 100);
  CHECK(server->taken() == static_cast<std::size_t>(given));
  CHECK(f.sink->late()->status().outage.empty());
  CHECK(f.letters.empty());
}

TEST_CASE("webhook sink: ten thousand changes and a batch wait for a dead destination, no more") {
  const WebServer server{[](const auto&, std::size_t) { return Reply{500}; }};
  Fixture f{to(server)};
  constexpr int of_batch = 700;
  std::int64_t given = 0;
  Result<Done, SinkError> last = done;
  while (last) {
    REQUIRE(given < 10'000 + of_batch);
    Filled filled{given};
    for (int i = 0; i < of_batch; ++i) filled.add(std::to_string(given + i), "s");
    last = f.sink->apply(filled.batch());
    if (last) given += of_batch;
  }
  CHECK(given >= 10'000);
  CHECK(last.error().kind == SinkError::Kind::busy);
  const auto status = f.sink->late()->status();
  CHECK(status.waiting + status.in_flight == static_cast<std::size_t>(given));
}

TEST_CASE("webhook sink: a call that takes too long is broken off and tried again") {
  const WebServer server{[](const auto&, std::size_t nth) {
    return Reply{200, nth == 0 ? seconds{3} : seconds{0}};
  }};
  auto route = to(server);
  route.timeout = milliseconds{300};
  Fixture f{route};
  REQUIRE(f.sink->apply(Filled{0}.add("a", "a").batch()));
  f.await(1);
  CHECK(server.calls().size() == 2);
  CHECK(count_of(f.sink->late()->status(), CallOutcome::timeout) == 1);
}

TEST_CASE("webhook sink: what is not for it is passed by, and answered for at once") {
  const WebServer server{[](const auto&, std::size_t) { return Reply{}; }};
  auto route = to(server);
  route.match = {{"status", "mine"}};
  Fixture f{route};
  REQUIRE(f.sink->apply(Filled{0}.add("a", "mine").add("b", "other").add("c", "x").batch()));
  f.await(3);
  CHECK(server.calls().size() == 1);
  CHECK(f.skipped == std::map<std::string, std::uint64_t>{{"no_route", 2}});
}

TEST_CASE("webhook sink: a truncate comes after all before it and before all behind it") {
  const WebServer server{[](const auto&, std::size_t) { return Reply{200, milliseconds{100}}; }};
  auto route = to(server);
  route.body.clear();
  Fixture f{route};
  REQUIRE(f.sink->apply(
      Filled{0}.add("a", "1").add("b", "1").add("", "", Op::truncate).add("a", "2").batch()));
  f.await(4);
  const auto calls = server.calls();
  REQUIRE(calls.size() == 4);
  CHECK_THAT(calls[2].body, ContainsSubstring("\"op\":\"truncate\""));
  CHECK(calls[2].at - calls[1].at >= milliseconds{100});
  CHECK(calls[3].at - calls[2].at >= milliseconds{100});
}

TEST_CASE("webhook sink: what is forgotten is not begun any more, what runs is answered for") {
  const WebServer server{[](const auto&, std::size_t) { return Reply{200, milliseconds{500}}; }};
  auto route = to(server);
  route.max_in_flight = 1;
  Fixture f{route};
  LateSink& late = *f.sink->late();
  REQUIRE(f.sink->apply(Filled{0, 1}.add("a", "a1").add("a", "a2").add("b", "b").batch()));
  eventually(seconds{5}, "one is under way", [&] { return server.calls().size() == 1; });
  CHECK(late.settle(seconds{5}));
  late.forget("db.public.statuses", 2);
  REQUIRE(f.sink->apply(Filled{0, 1}.add("late", "late").batch()));  // taken, and forgotten
  REQUIRE(f.sink->apply(Filled{0, 2}.add("a", "a1").add("a", "a2").add("b", "b").batch()));
  f.await(1 + 3);
  CHECK(f.of_generation == std::map<std::uint64_t, std::uint64_t>{{1, 1}, {2, 3}});
  CHECK(server.calls().size() == 4);
  CHECK_FALSE([&] {
    REQUIRE(f.sink->apply(Filled{3, 2}.add("c", "c").batch()));
    eventually(seconds{5}, "one is under way", [&] { return server.calls().size() == 5; });
    return late.settle(milliseconds{10});
  }());
}

TEST_CASE("webhook sink: it ends at once, whatever is under way") {
  const WebServer server{[](const auto&, std::size_t) { return Reply{200, seconds{60}}; }};
  const auto begin = Clock::now();
  {
    Fixture f{to(server)};
    REQUIRE(f.sink->apply(Filled{0}.add("a", "a").add("b", "b").batch()));
    eventually(seconds{5}, "both are under way", [&] { return server.calls().size() == 2; });
  }
  CHECK(Clock::now() - begin < seconds{5});
}

TEST_CASE("webhook sink: over TLS many calls share one connection, by HTTP/2") {
  const HttpsServer server{milliseconds{300}};
  auto route = to(server);
  route.max_in_flight = 150;
  Fixture f{route};
  REQUIRE(f.sink->apply(rows(600)->batch()));
  f.await(600);
  std::set<int> connections;
  std::set<std::string> keys;
  std::size_t most_at_once = 0;
  for (const auto& call : server.calls()) {
    connections.insert(call.connection);
    keys.insert(call.idempotency_key);
    most_at_once = std::max(most_at_once, call.at_once);
    CHECK(call.body == "\"s\"");
  }
  CHECK(connections.size() == 1);
  CHECK(keys.size() == 600);
  CHECK(most_at_once > 100);
  CHECK(most_at_once <= 150);
  CHECK(count_of(f.sink->late()->status(), CallOutcome::taken) == 600);
}

TEST_CASE("webhook sink: where one connection takes no more calls at once there are several") {
  const HttpsServer server{milliseconds{300}, 20};
  auto route = to(server);
  route.max_in_flight = 60;
  Fixture f{route};
  REQUIRE(f.sink->apply(rows(300)->batch()));
  f.await(300);
  std::size_t most_at_once = 0;
  for (const auto& call : server.calls()) most_at_once = std::max(most_at_once, call.at_once);
  CHECK(most_at_once > 20);
  CHECK(server.calls().size() == 300);
  CHECK(f.letters.empty());
}

TEST_CASE("webhook sink: what can't be trusted is called nothing, and loses nothing") {
  const HttpsServer server;
  auto route = to(server);
  std::string cause;
  SECTION("an authority that nobody knows") {
    route.ca.clear();
    cause = "its certificate is not accepted (self-signed certificate): renew it there, or name";
  }
  SECTION("another host") {
    route.url = server.url("127.0.0.1");
    cause = "its certificate is for another host";
  }
  SECTION("a ca that is none") {
    route.ca = "-----BEGIN CERTIFICATE-----\nx";
    cause = "the certificates in the route's ca can't be read";
  }
  Fixture f{route};
  REQUIRE(f.sink->apply(rows(20)->batch()));
  eventually(seconds{20}, "it is the destination's trouble",
             [&] { return !f.sink->late()->status().outage.empty(); });
  const auto status = f.sink->late()->status();
  CHECK_THAT(status.outage, ContainsSubstring(" takes no calls: " + cause));
  CHECK(count_of(status, CallOutcome::connect) >= 10);
  CHECK(status.waiting + status.in_flight == 20);
  CHECK(f.answered() == 0);
  CHECK(f.letters.empty());
  CHECK(server.calls().empty());

  Fixture mended{to(server)};
  REQUIRE(mended.sink->apply(rows(20)->batch()));
  mended.await(20);
  CHECK(server.calls().size() == 20);
}
