#pragma once

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/config/config.hpp"

/// The walk through the YAML file. What is asked for and is not there, or has the wrong shape, is
/// noted in the Report, and the walk goes on: a run finds all mistakes.
namespace lockstep::config {

/// `text` as it may stand in a message: in quotes, cut if it is long.
std::string in_quotes(std::string_view text);

class Report {
 public:
  /// Both must outlive it.
  Report(std::string_view file_name, const Environment& environment)
      : file_name_{file_name}, environment_{environment} {}

  /// `path` may be empty: the file as a whole.
  void add(int line, std::string_view path, std::string_view problem);

  bool empty() const noexcept { return found_.empty(); }
  Errors take();  ///< in the file's order, none twice
  const Environment& environment() const noexcept { return environment_; }

  /// A key that the file may have, whether it has it or not.
  void note_known(std::string path);
  /// In the order of the alphabet, with [] for any place in a list.
  std::vector<std::string> known() const { return {known_.begin(), known_.end()}; }

 private:
  struct Found {
    int line;
    Error error;
  };
  std::string_view file_name_;
  const Environment& environment_;
  std::vector<Found> found_;
  std::set<std::string> known_;
};

/// A plain value. Messages show `raw`, never `text`: that may be a secret.
struct Scalar {
  std::string key;   ///< empty in a list
  std::string path;  ///< "pipelines[0].name"
  std::string raw;   ///< as in the file
  std::string text;  ///< expanded
  int line = 0;
};

/// A map of the file. A key that was never asked for is unknown.
class Mapping {
 public:
  Mapping(Report& report, const YAML::Node& node, std::string path, int line);

  bool has(std::string_view key) const;
  bool is_empty_list(std::string_view key) const;
  int line() const noexcept { return line_; }
  const std::string& path() const noexcept { return path_; }

  /// Each returns what is at `key`, or nothing if it isn't there or is wrong.
  std::optional<Scalar> scalar(std::string_view key);
  std::vector<Scalar> list(std::string_view key);
  std::optional<Mapping> mapping(std::string_view key);
  std::vector<Mapping> mappings(std::string_view key);

  /// All of it, for a map whose keys are the user's own.
  std::vector<Scalar> scalars();

  /// Notes that `key` is missing, unless it is there.
  void require(std::string_view key, std::string_view expected);
  /// Notes `why`, if the key is there.
  void refuse(std::string_view key, std::string_view why);
  void problem(std::string_view key, std::string_view problem);
  void reject_unknown();

 private:
  struct Entry {
    std::string key;
    YAML::Node value;
    int line;
  };

  std::string path_of(std::string_view key) const;
  const Entry* find(std::string_view key);  ///< makes it a known key
  std::optional<Scalar> read_scalar(const YAML::Node& node, std::string_view key, std::string path,
                                    int line);

  Report& report_;
  std::string path_;
  int line_;
  std::vector<Entry> entries_;
  std::vector<std::string> known_;
};

}  // namespace lockstep::config
