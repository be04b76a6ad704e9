#include "kept.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace lockstep::control {

namespace {

constexpr int format = 1;

std::string failed(const std::string& what, const std::filesystem::path& at) {
  return at.string() + what + ": " + std::strerror(errno);
}

/// Written and on the disk.
Result<Done, std::string> put(const std::filesystem::path& file, const std::string& text) {
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return failed(" can't be written", file);
  std::size_t written = 0;
  bool is_whole = true;
  while (is_whole && written < text.size()) {
    const auto size = ::write(fd, text.data() + written, text.size() - written);
    if (size < 0 && errno == EINTR) continue;
    is_whole = size > 0;
    if (is_whole) written += static_cast<std::size_t>(size);
  }
  if (!is_whole || fsync(fd) != 0) {
    auto error = failed(" can't be written", file);
    close(fd);
    return error;
  }
  close(fd);
  return done;
}

}  // namespace

Kept::Kept(const std::filesystem::path& folder) {
  if (!folder.empty()) file_ = folder / "consumers.json";
}

Kept::~Kept() {
  if (lock_ >= 0) close(lock_);
}

Result<Done, std::string> Kept::lock() {
  if (lock_ >= 0) return done;
  const auto file = file_.parent_path() / "lock";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failed(" can't be opened", file);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return file_.parent_path().string() +
           " belongs to another lockstepd that runs: give each a state_dir of its own";
  }
  lock_ = fd;
  return done;
}

Result<std::vector<Json>, std::string> Kept::read() {
  std::error_code error;
  if (!is_kept() || !std::filesystem::exists(file_, error)) {
    if (error) return file_.string() + " can't be looked for: " + error.message();
    return std::vector<Json>{};
  }
  if (auto locked = lock(); !locked) return locked.error();
  std::ifstream stream{file_};
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) return file_.string() + " can't be read: check its owner and rights";
  const auto json = Json::parse(text.str(), nullptr, false);
  if (!json.is_object() || json.value("format", Json{}) != format ||
      !json.value("consumers", Json{}).is_array()) {
    return file_.string() +
           " is not what lockstepd writes: mend it, or move it away and start its consumers again";
  }
  return json["consumers"].get<std::vector<Json>>();
}

Result<Done, std::string> Kept::write(const std::vector<Json>& list) {
  if (!is_kept()) return done;
  const auto folder = file_.parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return folder.string() + " can't be made: " + error.message();
  if (auto locked = lock(); !locked) return locked.error();
  const auto next = folder / "consumers.json.next";
  const Json json{{"format", format}, {"consumers", list}};
  if (auto put_there = put(next, json.dump(2) + "\n"); !put_there) return put_there.error();
  if (rename(next.c_str(), file_.c_str()) != 0) return failed(" can't be replaced", file_);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_safe = fd >= 0 && fsync(fd) == 0;
  auto unsafe = is_safe ? std::string{} : failed(" can't be written to the disk", folder);
  if (fd >= 0) close(fd);
  if (!is_safe) return unsafe;
  return done;
}

}  // namespace lockstep::control
