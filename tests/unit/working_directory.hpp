#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lockstep::test {

/// The working directory until it ends: a new and empty folder.
class WorkingDirectory {
 public:
  WorkingDirectory() {
    std::filesystem::create_directories(folder_);
    std::filesystem::current_path(folder_);
  }
  ~WorkingDirectory() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;

  static void write(const std::string& name, const std::string& content) {
    std::ofstream{name, std::ios::binary} << content;
  }

 private:
  const std::filesystem::path before_ = std::filesystem::current_path();
  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("lockstep-unit-test-" + std::to_string(::getpid()));
};

}  // namespace lockstep::test
