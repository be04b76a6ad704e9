#include <nlohmann/json.hpp>

#include "answer.hpp"
#include "caller.hpp"
#include "catch.hpp"
#include "request.hpp"

using namespace lockstep;
using namespace lockstep::webhook;
using nlohmann::json;
using std::chrono::hours;
using std::chrono::seconds;
using Kind = Verdict::Kind;

namespace {

Column column(const std::string& name, ValueType type) {
  Column made;
  made.name = name;
  made.type = type;
  return made;
}

const Relation packages{"public", "packages"};
const Layout key_layout{{column("id", ValueType::integer)}};
const Layout row_layout{{column("id", ValueType::integer),
                         column("customer_id", ValueType::integer),
                         column("status", ValueType::text), column("paid", ValueType::boolean)}};

struct Made {
  Made(Op op, std::vector<Cell> after, std::vector<Cell> cells_before = {})
      : row{std::move(after)}, before{std::move(cells_before)} {
    change.op = op;
    change.relation = &packages;
    change.key_layout = &key_layout;
    change.key = key;
    if (!row.empty()) {
      change.row_layout = &row_layout;
      change.row = row;
    }
    if (!before.empty()) origin.before = {&row_layout, before};
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  Fit fit(const std::map<std::string, std::string>& wanted) const {
    return match(wanted, change, origin).fit;
  }
  std::string body(const std::string& form) const {
    const auto made = body_of(form, change, origin, "db.public.packages");
    return made ? *made : "error: " + made.error().cause;
  }

  std::vector<Cell> key{Cell{"7"}};
  std::vector<Cell> row;
  std::vector<Cell> before;
  Change change;
  Origin origin;
};

const std::vector<Cell> shipped{Cell{"7"}, Cell{"1"}, Cell{"ship\"ped\n"}, Cell{"t"}};

}  // namespace

TEST_CASE("webhook: a change goes to the routes whose columns it all has equal") {
  const Made update{Op::update, shipped};
  CHECK(update.fit({}) == Fit::yes);
  CHECK(update.fit({{"customer_id", "1"}}) == Fit::yes);
  CHECK(update.fit({{"customer_id", "1"}, {"paid", "true"}}) == Fit::yes);
  CHECK(update.fit({{"customer_id", "1"}, {"paid", "false"}}) == Fit::no);
  CHECK(update.fit({{"customer_id", "2"}}) == Fit::no);
  CHECK(update.fit({{"customer", "1"}}) == Fit::no_column);
  CHECK(update.fit({{"customer", "1"}, {"customer_id", "2"}}) == Fit::no);

  const Made null{Op::update, {Cell{"7"}, Cell{}, Cell{"x"}, Cell{}}};
  CHECK(null.fit({{"customer_id", ""}}) == Fit::no);
  // TOASTed, and left as it was: the row before may tell it.
  const Made unchanged{Op::update, {Cell{"7"}, Cell{"1"}, Cell::unchanged(), Cell{}}};
  CHECK(unchanged.fit({{"status", "x"}}) == Fit::not_sent);
  const Made told{Op::update,
                  {Cell{"7"}, Cell{"1"}, Cell::unchanged(), Cell{}},
                  {Cell{"7"}, Cell{"1"}, Cell{"x"}, Cell{}}};
  CHECK(told.fit({{"status", "x"}}) == Fit::yes);
}

TEST_CASE("webhook: a delete goes by the row before it, if the source sends that, and its key") {
  const Made whole{Op::remove, {}, shipped};
  CHECK(whole.fit({{"customer_id", "1"}}) == Fit::yes);
  CHECK(whole.fit({{"customer_id", "2"}}) == Fit::no);
  CHECK(whole.fit({{"customer", "2"}}) == Fit::no_column);
  // Without REPLICA IDENTITY FULL: zeros where the column can't be null.
  const Made key_only{Op::remove, {}, {Cell{"7"}, Cell{"0"}, Cell{""}, Cell{}}};
  CHECK(key_only.fit({{"customer_id", "1"}}) == Fit::not_sent);
  CHECK(key_only.fit({{"customer_id", "0"}}) == Fit::not_sent);
  CHECK(key_only.fit({{"id", "7"}}) == Fit::yes);
  CHECK(key_only.fit({{"id", "8"}}) == Fit::no);
  CHECK(key_only.fit({}) == Fit::yes);
  const Made nothing{Op::remove, {}};
  CHECK(nothing.fit({{"customer_id", "1"}}) == Fit::not_sent);

  const Made truncate{Op::truncate, {}};
  CHECK(truncate.fit({}) == Fit::yes);
  CHECK(truncate.fit({{"customer_id", "1"}}) == Fit::no);
}

TEST_CASE("webhook: the body is the change as JSON, or the form with its values") {
  const Made update{Op::update, shipped};
  CHECK(json::parse(update.body(""))["after"]["customer_id"] == 1);
  const std::string form =
      R"({"package": {id}, "to": {"status": {status}, "paid": {paid}}} {} {a b} {)";
  CHECK(update.body(form) ==
        R"({"package": 7, "to": {"status": "ship\"ped\n", "paid": true}} {} {a b} {)");
  CHECK(update.body("{state}") ==
        "error: the body asks for state, which is no column of public.packages");

  const Made whole{Op::remove, {}, shipped};
  CHECK(whole.body("{id} {status}") == R"(7 "ship\"ped\n")");
  const Made key_only{Op::remove, {}, {Cell{"7"}, Cell{"0"}, Cell{""}, Cell{}}};
  CHECK(key_only.body("{id} {status}") == "7 null");
  const Made unchanged{Op::update, {Cell{"7"}, Cell{"1"}, Cell::unchanged(), Cell{}}};
  CHECK_THAT(unchanged.body("{status}"), ContainsSubstring("REPLICA IDENTITY FULL"));
}

TEST_CASE("webhook: the signature is the body's HMAC-SHA256, the key the record's place") {
  // RFC 4231, test case 2.
  CHECK(signature("Jefe", "what do ya want for nothing?") ==
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(idempotency_key("notify.all", {"db.public.t", 3}, {42}) == "notify.all/db.public.t/3/42");
}

TEST_CASE("webhook: what answers mean") {
  struct Case {
    std::string_view name;
    Outcome outcome;
    Kind kind;
    seconds rest{0};
  };
  const Case cases[] = {
      {"200", {"", 200, {}}, Kind::done},
      {"202", {"", 202, {}}, Kind::done},
      {"204, whatever else it says", {"", 204, seconds{5}}, Kind::done},
      {"a redirect is not followed, and about the route", {"", 301, {}}, Kind::again},
      {"400", {"", 400, {}}, Kind::undeliverable},
      {"a key that is revoked", {"", 401, {}}, Kind::again},
      {"one that may not", {"", 403, {}}, Kind::again},
      {"one that the proxy wants", {"", 407, {}}, Kind::again},
      {"a URL that is not there", {"", 404, {}}, Kind::again},
      {"or takes no such method", {"", 405, {}}, Kind::again},
      {"or is gone", {"", 410, {}}, Kind::again},
      {"409", {"", 409, {}}, Kind::undeliverable},
      {"415", {"", 415, {}}, Kind::undeliverable},
      {"422", {"", 422, {}}, Kind::undeliverable},
      {"a request that took too long", {"", 408, {}}, Kind::again},
      {"too early", {"", 425, {}}, Kind::again},
      {"too many, without a time", {"", 429, {}}, Kind::again},
      {"too many, with one", {"", 429, seconds{7}}, Kind::rest, seconds{7}},
      {"500", {"", 500, {}}, Kind::again},
      {"500 has no say in it", {"", 500, seconds{7}}, Kind::again},
      {"503", {"", 503, {}}, Kind::again},
      {"503 with a time", {"", 503, seconds{7}}, Kind::rest, seconds{7}},
      {"a time without sense", {"", 503, hours{1000}}, Kind::rest, hours{1}},
      {"no answer", {"Timeout was reached", 0, {}}, Kind::again},
      {"an answer that broke off", {"Transferred a partial file", 200, {}}, Kind::again},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      const auto verdict = judge(c.outcome);
      CHECK(verdict.kind == c.kind);
      CHECK(verdict.rest == c.rest);
      CHECK(verdict.cause.empty() == (c.kind == Kind::done));
    }
  }
}

TEST_CASE("webhook: messages name a destination without what may be a secret of its URL") {
  CHECK(destination_of("https://user:pass@word@api.example:8443/hook/secret?token=x@y") ==
        "https://api.example:8443");
  CHECK(destination_of("http://127.0.0.1:9101") == "http://127.0.0.1:9101");
  CHECK(destination_of("http://[::1]:9101/a") == "http://[::1]:9101");
  CHECK(destination_of("http://host?mail=a@b") == "http://host");
}
