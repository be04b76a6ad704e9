// Who may see rows and change what is going on, and what is no proper request.
#include "lockstep/http/access.hpp"
#include "catch.hpp"
#include "target.hpp"

using namespace lockstep::http;

namespace {

/// The status that the caller gets; 200: it gets through.
int answer(const AccessRules& rules, const Caller& caller, Access access = Access::guarded) {
  const auto admitted = admit(rules, caller, access);
  return admitted ? 200 : admitted.error().status;
}

Caller local(const std::string& host = "localhost:8000") {
  Caller caller;
  caller.is_local = true;
  caller.host = host;
  return caller;
}

}  // namespace

TEST_CASE("access: without a token only this machine, with one whoever shows it") {
  Caller far = local();
  far.is_local = false;
  CHECK(answer({}, local()) == 200);
  CHECK(answer({}, far) == 403);
  CHECK(answer({}, far, Access::page) == 200);
  CHECK(answer({}, far, Access::open) == 200);

  const AccessRules rules{
      .tokens = {{"token", "a long enough token"}, {"ci", "another one, for CI"}},
      .hosts = {},
      .origins = {}};
  CHECK(answer(rules, local()) == 401);
  for (const std::string wrong :
       {"x", "a long enough toke", "a long enough token ", "A long enough token"}) {
    far.token = wrong;
    CHECK(answer(rules, far) == 401);
  }
  for (const auto& [name, secret] : rules.tokens) {
    far.token = secret;
    CHECK(answer(rules, far) == 200);
    CHECK(*admit(rules, far, Access::guarded) == name);
  }
  far.token = "";
  CHECK(answer(rules, far) == 401);
  CHECK(admit({}, local(), Access::guarded)->empty());
  CHECK(answer(rules, local(), Access::page) == 200);
}

TEST_CASE("access: a name that is not ours is a page that points its own here") {
  for (const std::string host :
       {"localhost", "LOCALHOST:8000", "127.0.0.1:8000", "10.1.2.3", "[::1]:8000", "[fe80::1]"}) {
    CHECK(answer({}, local(host)) == 200);
  }
  for (const std::string host : {"", "evil.example", "evil.example:8000", "localhost.evil.example",
                                 "127.0.0.1.evil.example", "[::1", "10.1.2.3x:80"}) {
    INFO(host);
    CHECK(answer({}, local(host)) == 403);
    CHECK(answer({}, local(host), Access::page) == 403);
    CHECK(answer({}, local(host), Access::open) ==
          200);  // probes and scrapers have their own names
  }
  const AccessRules rules{.tokens = {}, .hosts = {"ops.example"}, .origins = {}};
  CHECK(answer(rules, local("OPS.example:443")) == 200);
  CHECK(answer(rules, local("x.ops.example")) == 403);
}

TEST_CASE("access: pages of other origins may not call, unless they are named") {
  const auto from = [](const std::string& origin) {
    Caller caller = local();
    caller.origin = origin;
    return caller;
  };
  CHECK(answer({}, from("http://localhost:8000")) == 200);
  CHECK(answer({}, from("https://localhost:8000")) == 200);  // behind a proxy with TLS
  for (const std::string origin :
       {"null", "http://localhost:9000", "http://evil.example", "localhost:8000", ""}) {
    INFO(origin);
    CHECK(answer({}, from(origin)) == 403);
  }
  const AccessRules rules{.tokens = {}, .hosts = {}, .origins = {"https://ops.example"}};
  CHECK(answer(rules, from("https://ops.example")) == 200);
  CHECK(answer(rules, from("http://ops.example")) == 403);

  Caller image = local();  // <img src="http://localhost:8000/…"> has no Origin
  image.fetch_site = "cross-site";
  CHECK(answer({}, image) == 403);
  image.fetch_site = "same-origin";
  CHECK(answer({}, image) == 200);
}

TEST_CASE("target: is taken apart and decoded") {
  const auto target = parse_target("/a%20b/%2Fc/?x=1&y=a+b%26&x=2&z&=w#f");
  REQUIRE(target);
  CHECK(target->segments == std::vector<std::string>{"a b", "/c"});
  CHECK(target->query == std::map<std::string, std::string>{{"x", "2"}, {"y", "a b&"}, {"z", ""}});
  CHECK(parse_target("/")->segments.empty());
  for (const auto* bad : {"", "a", "*", "http://x/", "/%", "/%4", "/%4g", "/%00", "/a?b=%0a"}) {
    INFO(bad);
    CHECK_FALSE(parse_target(bad));
  }
}

TEST_CASE("target: a path matches segment by segment") {
  using Parameters = std::vector<std::string>;
  CHECK(match_path("/", {}) == Parameters{});
  CHECK(match_path("/status", {"status"}) == Parameters{});
  CHECK(match_path("/p/{name}/t/{table}", {"p", "a/b", "t", "public.users"}) ==
        Parameters{"a/b", "public.users"});
  CHECK_FALSE(match_path("/p/{name}", {"p"}));
  CHECK_FALSE(match_path("/p/{name}", {"p", ""}));
  CHECK_FALSE(match_path("/p/{name}", {"p", "a", "b"}));
  CHECK_FALSE(match_path("/p/{name}", {"q", "a"}));
}
