#include "lockstep/http/page.hpp"

#include <string>

#include "page_files.hpp"

namespace lockstep::http {

namespace {

std::string content_type(std::string_view name) {
  const auto extension = name.substr(name.rfind('.') + 1);
  if (extension == "html") return "text/html; charset=utf-8";
  if (extension == "css") return "text/css; charset=utf-8";
  if (extension == "js") return "text/javascript; charset=utf-8";
  if (extension == "json") return "application/json";
  return "image/svg+xml";
}

std::string path_of(std::string_view name) {
  if (name == "index.html") return "/";
  const auto extension = name.rfind(".html");
  return "/" + std::string{name.substr(0, extension)};
}

}  // namespace

std::vector<Route> page_routes() {
  std::vector<Route> routes;
  for (const auto& file : page_files()) {
    routes.push_back(
        {"GET", path_of(file.name), Access::page, Waits::not_at_all, [file](const Request&) {
           return Response{.content_type = content_type(file.name),
                           .content_encoding = file.is_compressed ? "gzip" : "",
                           .body = std::string{file.content},
                           .cache_control = "no-cache"};
         }});
  }
  return routes;
}

}  // namespace lockstep::http
