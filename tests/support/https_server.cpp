#include "https_server.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "catch.hpp"
#include "eventually.hpp"
#include "process.hpp"

namespace lockstep::test {

namespace {

std::filesystem::path new_folder() {
  std::filesystem::create_directories(LOCKSTEP_WORK_DIR);
  std::string name{LOCKSTEP_WORK_DIR "/https_server.XXXXXX"};
  REQUIRE(mkdtemp(name.data()) != nullptr);
  return name;
}

std::string content_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

void make_certificate(const std::filesystem::path& folder) {
  const std::string command =
      "cd '" + folder.string() +
      "' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
      "-subj '/CN=a test of lockstep' -addext subjectAltName=DNS:localhost "
      "-keyout key.pem -out certificate.pem >openssl.log 2>&1";
  const int code = std::system(command.c_str());
  INFO(content_of(folder / "openssl.log"));
  REQUIRE(code == 0);
}

/// Its pid.
pid_t launch(const std::filesystem::path& folder, std::string delay, std::string streams) {
  std::string program{"/usr/bin/python3"};  // the one that Debian's python3-h2 is for
  std::string script{LOCKSTEP_SOURCE_DIR "/tests/support/https_server.py"};
  std::string certificate = folder / "certificate.pem";
  std::string key = folder / "key.pem";
  const std::array<char*, 7> argv{program.data(), script.data(), certificate.data(),
                                  key.data(),     delay.data(),  streams.data(),
                                  nullptr};
  return start_process(argv.data(), environ, folder / "log", folder / "log");
}

}  // namespace

HttpsServer::HttpsServer(std::chrono::milliseconds answers_after, std::size_t streams)
    : folder_{new_folder()}, certificate_{folder_ / "certificate.pem"} {
  make_certificate(folder_);
  pid_ = launch(folder_, std::to_string(answers_after.count()), std::to_string(streams));
  eventually(std::chrono::seconds{20}, "the HTTPS server listens", [&] {
    const auto lines = said();
    if (lines.empty()) return std::string{"silence"};
    if (!lines.front().starts_with("port ")) return content_of(folder_ / "log");
    port_ = lines.front().substr(lines.front().find(' ') + 1);
    return std::string{};
  });
}

HttpsServer::~HttpsServer() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  std::filesystem::remove_all(folder_);
}

std::string HttpsServer::url(const std::string& host) const {
  return "https://" + host + ":" + port_ + "/status";
}

std::string HttpsServer::certificate() const {
  return content_of(certificate_);
}

std::vector<std::string> HttpsServer::said() const {
  const auto text = content_of(folder_ / "log");
  std::istringstream whole{text.substr(0, text.rfind('\n') + 1)};
  std::vector<std::string> lines;
  for (std::string line; std::getline(whole, line);) lines.push_back(line);
  return lines;
}

std::vector<HttpsServer::Call> HttpsServer::calls() const {
  std::vector<Call> calls;
  auto lines = said();
  for (std::size_t i = 1; i < lines.size(); ++i) {
    Call call{};
    std::istringstream line{lines[i]};
    line >> call.connection >> call.at_once >> call.idempotency_key;
    INFO(lines[i]);
    REQUIRE(line.get() == ' ');  // else it is no call, but an error
    std::getline(line, call.body);
    calls.push_back(std::move(call));
  }
  return calls;
}

}  // namespace lockstep::test
