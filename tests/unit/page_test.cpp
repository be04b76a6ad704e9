// The page's files: that each is served which another asks for, and what they must not contain.
#include "lockstep/http/page.hpp"

#include <map>
#include <regex>
#include <string>

#include "catch.hpp"

using lockstep::http::Access;
using lockstep::http::page_routes;
using lockstep::http::Response;
using lockstep::http::Waits;

namespace {

std::map<std::string, Response> served() {
  std::map<std::string, Response> responses;
  for (const auto& route : page_routes()) {
    CHECK(route.method == "GET");
    CHECK(route.access == Access::page);
    CHECK(route.waits == Waits::not_at_all);
    responses[route.path] = route.handle({});
  }
  return responses;
}

}  // namespace

TEST_CASE("page: whatever its files ask for is served, under its type") {
  const auto files = served();
  REQUIRE(files.contains("/"));
  CHECK(files.at("/").content_type == "text/html; charset=utf-8");
  CHECK(files.at("/page.js").content_type == "text/javascript; charset=utf-8");
  CHECK(files.at("/page.css").content_type == "text/css; charset=utf-8");
  CHECK(files.at("/favicon.svg").content_type == "image/svg+xml");
  CHECK(files.at("/docs").content_type == "text/html; charset=utf-8");
  CHECK(files.at("/openapi.json").content_type == "application/json");
  const std::regex reference{R"re((?:src|href)="(/[^"]+)"|from '\.(/[^']+)')re"};
  int found = 0;
  for (const auto& [path, response] : files) {
    CHECK(response.status == 200);
    CHECK(response.cache_control == "no-cache");
    const auto& text = response.body;
    CHECK_FALSE(text.empty());
    if (!response.content_encoding.empty()) {
      CHECK(response.content_encoding == "gzip");
      CHECK(text.starts_with("\x1f\x8b"));
      continue;
    }
    for (std::sregex_iterator it{text.begin(), text.end(), reference}; it != std::sregex_iterator{};
         ++it, ++found) {
      const std::string wanted = (*it)[1].matched ? (*it)[1] : (*it)[2];
      INFO(path << " asks for " << wanted);
      CHECK((files.contains(wanted) || wanted == "/status" || wanted == "/metrics"));
    }
  }
  CHECK(found > 10);
}

TEST_CASE("page: no inline script or style, no HTML made of data, nothing from elsewhere") {
  for (const auto& [path, response] : served()) {
    if (!response.content_encoding.empty()) continue;  // Swagger UI's, not ours
    INFO(path);
    const auto& text = response.body;
    for (const auto* forbidden : {" style=\"", " onclick=", "innerHTML", "insertAdjacentHTML",
                                  "document.write", "eval(", "https://", "@import"}) {
      INFO(forbidden);
      CHECK(text.find(forbidden) == std::string::npos);
    }
    auto elsewhere = text.find("http://");
    while (elsewhere != std::string::npos) {
      CHECK(text.substr(elsewhere, 18) == "http://www.w3.org/");  // names, not addresses
      elsewhere = text.find("http://", elsewhere + 1);
    }
  }
}
