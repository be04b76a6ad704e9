// Changes as Debezium sends them, as calls to servers that are quick, slow, broken or away.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "https_server.hpp"
#include "kafka.hpp"
#include "stack.hpp"
#include "web_server.hpp"

using namespace lockstep::test;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Call = WebServer::Call;
using Reply = WebServer::Reply;

namespace {

/// A table of packages' statuses, with its connector.
struct Packages {
  explicit Packages(const std::string& of) : name{unique(of)} {
    source.exec("CREATE TABLE " + name +
                " (id int PRIMARY KEY, customer_id int NOT NULL, status int NOT NULL)");
    source.exec("ALTER TABLE " + name + " REPLICA IDENTITY FULL");
    connector = std::make_unique<Connector>(unique(of), std::vector{name});
  }

  DaemonConfig daemon(const std::string& routes) const {
    return {.pipeline = name,
            .topics = {connector->topic(name)},
            .sink_type = "webhook",
            .sink = {{"dead_letter_topic", dead_letters()}, {"routes", "[" + routes + "]"}}};
  }
  std::string dead_letters() const { return name + ".dead"; }

  Database source{Stack::from_environment().source_url};
  const std::string name;
  std::unique_ptr<Connector> connector;
};

std::string route(const std::string& which, const WebServer& server, const std::string& more = "") {
  return "{" + which + ", url: '" + server.url("/status") + "'" + more + "}";
}

/// The statuses of each package in the order in which they first came.
std::map<int, std::vector<int>> statuses(const std::vector<Call>& calls) {
  std::map<int, std::vector<int>> of_package;
  for (const auto& call : calls) {
    const auto after = json::parse(call.body)["after"];
    auto& seen = of_package[after["id"]];
    const int status = after["status"];
    if (std::find(seen.begin(), seen.end(), status) == seen.end()) seen.push_back(status);
  }
  return of_package;
}

}  // namespace

TEST_CASE("a slow destination delays its own changes only; a crash loses none and none overtakes") {
  Packages packages{"hooks"};
  const auto takes = [](milliseconds time) {
    return [time](const Call&, std::size_t) { return Reply{200, time}; };
  };
  const WebServer one{takes(milliseconds{300})};
  const WebServer two{takes(milliseconds{300})};
  const WebServer slow{takes(seconds{2})};
  Daemon daemon{packages.name, packages.daemon(route("match: {customer_id: 1}", one) + "," +
                                               route("match: {customer_id: 2}", two) + "," +
                                               route("match: {customer_id: 3}, name: slow", slow))};
  const auto log_name = "pipeline started pipeline=" + packages.name;
  for (const auto* const of : {".customer_id-1", ".customer_id-2", ".slow"}) {
    daemon.await_log(log_name + of, seconds{30});
  }

  constexpr int each = 90;  // packages of a customer, which have five statuses
  packages.source.exec("INSERT INTO " + packages.name + " SELECT n, n % 3 + 1, 0 FROM " +
                       "generate_series(1, " + std::to_string(3 * each) + ") n");
  for (int status = 1; status < 5; ++status) {
    packages.source.exec("UPDATE " + packages.name + " SET status = " + std::to_string(status));
  }
  eventually(seconds{60}, "calls are under way", [&] { return one.taken() > 100; });
  daemon.kill();
  daemon.start();

  const std::vector<int> all{0, 1, 2, 3, 4};
  const auto is_complete = [&](const WebServer& server) {
    const auto seen = statuses(server.calls());
    return seen.size() == each && std::all_of(seen.begin(), seen.end(), [&](const auto& package) {
             return package.second.size() == all.size();
           });
  };
  eventually(seconds{60}, "the quick ones have all",
             [&] { return is_complete(one) && is_complete(two); });
  CHECK_FALSE(is_complete(slow));
  eventually(seconds{60}, "the slow one has all", [&] { return is_complete(slow); });
  for (const auto* const server : {&one, &two, &slow}) {
    std::map<std::string, std::string> bodies;
    for (const auto& [id, seen] : statuses(server->calls())) CHECK(seen == all);
    for (const auto& call : server->calls()) {  // what comes again has the key that it had
      const auto key = call.headers.at("idempotency-key");
      CHECK(bodies.emplace(key, call.body).first->second == call.body);
    }
    CHECK(bodies.size() == each * all.size());
  }
}

TEST_CASE("what fails is tried again, what is refused becomes a dead letter, the rest goes on") {
  Packages packages{"refused"};
  std::map<std::string, int> tries;
  const WebServer server{[&](const Call& call, std::size_t) {
    const int before = tries[call.body]++;
    const int status = json::parse(call.body)["after"]["status"];
    if (status == 400) return Reply{400};
    if (status == 500 && before == 0) return Reply{500};
    if (status == 429 && before == 0) return Reply{429, {}, {{"Retry-After", "1"}}};
    return Reply{};
  }};
  auto config =
      packages.daemon(route("name: all", server, ", headers: {Authorization: Tr0ub4dor}"));
  Daemon daemon{packages.name, config};
  packages.source.exec("INSERT INTO " + packages.name +
                       " VALUES (1, 1, 400), (2, 1, 500), (3, 1, 429), (4, 1, 200)");
  packages.source.exec("UPDATE " + packages.name + " SET status = 201");
  eventually(seconds{60}, "all have come", [&] { return server.taken() == 7; });
  const auto seen = statuses(server.calls());
  CHECK(seen.at(1) == std::vector<int>{400, 201});
  CHECK(seen.at(2) == std::vector<int>{500, 201});
  CHECK(seen.at(3) == std::vector<int>{429, 201});
  CHECK(server.calls().size() == 10);

  Kafka kafka;
  std::vector<Kafka::Record> letters;
  eventually(seconds{30}, "the letter is there", [&] {
    letters = kafka.records(packages.dead_letters());
    return letters.size() == 1;
  });
  CHECK_THAT(letters[0].key.value_or(""), ContainsSubstring("\"id\":1"));
  CHECK_THAT(letters[0].value.value_or(""), ContainsSubstring("\"status\":400"));
  CHECK(letters[0].headers.at("lockstep.pipeline") == packages.name + ".all");
  CHECK(letters[0].headers.at("lockstep.stage") == "apply");
  CHECK(letters[0].headers.at("lockstep.error") == "HTTP 400");
  CHECK_FALSE(daemon.logged("Tr0ub4dor"));

  // After a clean stop nothing comes again.
  REQUIRE(daemon.stop() == 0);
  daemon.start();
  packages.source.exec("INSERT INTO " + packages.name + " VALUES (5, 1, 200)");
  eventually(seconds{30}, "the next has come", [&] { return server.taken() == 8; });
  CHECK(server.calls().size() == 11);
}

TEST_CASE("a destination that is away is waited for, and has all once it is back") {
  Packages packages{"away"};
  auto server = std::make_unique<WebServer>([](const Call&, std::size_t) { return Reply{}; });
  const int port = server->port();
  const auto config = packages.daemon(route("name: all", *server));
  server.reset();
  Daemon daemon{packages.name, config};
  packages.source.exec("INSERT INTO " + packages.name + " SELECT n, 1, 0 FROM " +
                       "generate_series(1, 100) n");
  daemon.await_log("destination takes no calls", seconds{60});
  packages.source.exec("UPDATE " + packages.name + " SET status = 1");
  server = std::make_unique<WebServer>([](const Call&, std::size_t) { return Reply{}; }, port);
  eventually(seconds{60}, "it has all", [&] { return server->taken() == 200; });
  CHECK(daemon.count_in_log("destination takes no calls") == 1);
  CHECK(daemon.count_in_log("destination is back") == 1);
  for (const auto& [id, seen] : statuses(server->calls())) CHECK(seen == std::vector<int>{0, 1});
}

TEST_CASE("a certificate that is not trusted loses nothing: with its authority all is called") {
  Packages packages{"trust"};
  const HttpsServer server;
  const auto config = [&](const std::string& more) {
    return packages.daemon("{name: all, url: '" + server.url() + "'" + more + "}");
  };
  packages.source.exec("INSERT INTO " + packages.name + " SELECT n, 1, 0 FROM " +
                       "generate_series(1, 50) n");
  {
    Daemon daemon{packages.name, config("")};
    daemon.await_log("destination takes no calls", seconds{60});
    CHECK(daemon.logged("cause: its certificate is not accepted (self-signed certificate)"));
    CHECK(daemon.stop() == 0);
  }
  CHECK(server.calls().empty());
  const Daemon daemon{packages.name,
                      config(", ca: '${file:" + server.certificate_file().string() + "}'")};
  eventually(seconds{60}, "all have come", [&] { return server.calls().size() == 50; });
  std::set<int> connections;
  for (const auto& call : server.calls()) connections.insert(call.connection);
  CHECK(connections.size() == 1);
  CHECK_FALSE(daemon.logged("dead-letter topic"));
}
