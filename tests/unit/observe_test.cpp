#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "catch.hpp"
#include "lockstep/observe/log.hpp"
#include "lockstep/observe/notify.hpp"

using namespace lockstep::observe;

namespace {

/// What `act` writes to stderr.
template <class Act>
std::string stderr_of(Act act) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("lockstep-observe-test-" + std::to_string(::getpid()));
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(file, STDERR_FILENO);
  act();
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  ::close(file);
  std::ifstream stream{path};
  std::string text{std::istreambuf_iterator<char>{stream}, {}};
  std::filesystem::remove(path);
  return text;
}

}  // namespace

TEST_CASE("log: text lines begin with the time in UTC and the level") {
  const std::string text = stderr_of([] {
    start_logging("info", false);
    spdlog::debug("not shown");
    spdlog::info("batch applied rows={}", 3);
    spdlog::error("apply failed: two\nlines\x1b[31m");
  });
  const std::regex want{
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info  batch applied rows=3\n)"
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z error apply failed: two\\nlines\\x1b\[31m\n)"};
  CAPTURE(text);
  CHECK(std::regex_match(text, want));
}

TEST_CASE("log: JSON lines stay JSON whatever is logged") {
  const std::string text = stderr_of([] {
    start_logging("trace", true);
    spdlog::warn("{}", "\"quotes\"\n and \xff bytes, ünï");
  });
  REQUIRE(text.find('\n') == text.size() - 1);
  const auto line = nlohmann::json::parse(text);
  CHECK(line.at("level") == "warn");
  CHECK(line.at("msg") == "\"quotes\"\n and \uFFFD bytes, ünï");
  CHECK(line.at("ts").get<std::string>().size() == 24);
  CHECK(line.size() == 3);
}

TEST_CASE("notify: without systemd nothing happens") {
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  notify_ready();
  notify_watchdog();
  notify_status("idle");
  notify_stopping();
  CHECK_FALSE(watchdog_interval());
}

TEST_CASE("notify: systemd is told") {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = std::filesystem::temp_directory_path() /
                    ("lockstep-notify-test-" + std::to_string(::getpid()));
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  const auto received = [&] {
    std::array<char, 256> buffer{};
    const auto size = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return std::string{buffer.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
  };
  notify_ready();
  CHECK(received() == "READY=1");
  notify_status("applied 3 rows\nREADY=0");
  CHECK(received() == "STATUS=applied 3 rows");
  notify_watchdog();
  CHECK(received() == "WATCHDOG=1");
  notify_stopping();
  CHECK(received() == "STOPPING=1");
  CHECK(watchdog_interval() == std::chrono::seconds{30});
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  ::close(socket);
  std::filesystem::remove(path);
}
