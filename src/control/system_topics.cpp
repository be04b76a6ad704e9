#include "system_topics.hpp"

#include <regex>
#include <string>

namespace lockstep::control {

bool is_kafkas_own(std::string_view topic) {
  return topic.starts_with("__");
}

bool is_system_topic(std::string_view topic) {
  static const std::regex of_connect{R"((.*[._-])?connect[._-](configs?|offsets?|status(es)?))",
                                     std::regex::icase};
  return is_kafkas_own(topic) || std::regex_match(topic.begin(), topic.end(), of_connect);
}

}  // namespace lockstep::control
