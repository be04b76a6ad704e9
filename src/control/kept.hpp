#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "answer.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::control {

/// A list of JSON objects in a file that nobody else writes. Threads: one uses it.
class Kept {
 public:
  /// `folder` is made when something is kept first; empty: nothing is.
  explicit Kept(const std::filesystem::path& folder);
  ~Kept();
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  bool is_kept() const noexcept { return !file_.empty(); }
  /// No file: an empty list. Errors: what is wrong with it, and what to do.
  Result<std::vector<Json>, std::string> read();
  /// All of it or, also when the machine goes down meanwhile, nothing. Errors: why it can't.
  Result<Done, std::string> write(const std::vector<Json>& list);

 private:
  /// Errors: another process has it.
  Result<Done, std::string> lock();

  std::filesystem::path file_;
  int lock_ = -1;
};

}  // namespace lockstep::control
