#include "file.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>

namespace lockstep::config {

Result<std::string, Error> read_file(const std::filesystem::path& file, std::size_t max_bytes) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) return Error{"it is a directory"};
  errno = 0;
  std::ifstream stream{file, std::ios::binary};
  if (!stream) return Error{std::generic_category().message(errno)};
  std::string content(max_bytes + 1, '\0');
  stream.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (stream.bad()) return Error{std::generic_category().message(errno)};
  content.resize(static_cast<std::size_t>(stream.gcount()));
  if (content.size() > max_bytes) {
    return Error{"it is larger than " + std::to_string(max_bytes / 1024) + " KiB"};
  }
  return content;
}

}  // namespace lockstep::config
