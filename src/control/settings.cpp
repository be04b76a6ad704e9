#include "settings.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>

#include "lockstep/model/names.hpp"

namespace lockstep::control {

namespace {

constexpr std::string_view mask = "****";
constexpr auto partitions = "topic.creation.default.partitions";
constexpr auto replication = "topic.creation.default.replication.factor";

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// nullopt: Connect has nothing like it.
std::optional<std::string> setting_of(const Json& value) {
  if (!value.is_array()) {
    if (value.is_object() || value.is_null()) return std::nullopt;
    return text_of(value);
  }
  std::string list;
  for (const auto& element : value) {
    if (element.is_structured() || element.is_null()) return std::nullopt;
    list += (list.empty() ? "" : ",") + text_of(element);
  }
  return list;
}

/// What a setting of the user's own names is called by: "transforms.<name>.type".
struct Names {
  std::string before;  ///< "transforms"
  std::vector<std::string> names;
};

std::vector<Names> names_in(const Json& config) {
  constexpr std::array<std::array<std::string_view, 3>, 3> lists{{
      {"transforms", "transforms", "transforms"},
      {"predicates", "predicates", "predicates"},
      {"topic.creation.groups", "topic_creation_groups", "topic.creation"},
  }};
  std::vector<Names> found;
  for (const auto& [dotted, snake, before] : lists) {
    for (const auto key : {dotted, snake}) {
      const auto list = config.find(std::string{key});
      const auto text = list == config.end() ? std::nullopt : setting_of(*list);
      if (!text) continue;
      Names names{std::string{before}, {}};
      const std::regex name{"[^,\\s]+"};
      for (std::sregex_iterator at{text->begin(), text->end(), name}, end; at != end; ++at) {
        names.names.push_back(at->str());
      }
      found.push_back(std::move(names));
    }
  }
  return found;
}

std::string dotted(std::string text) {
  std::replace(text.begin(), text.end(), '_', '.');
  return text;
}

std::string name_of(const std::string& key, const std::vector<Names>& users) {
  if (key.find('.') != std::string::npos) return key;
  for (const auto& [before, names] : users) {
    for (const auto& name : names) {
      std::string beginning = before + "_" + name + "_";
      std::replace(beginning.begin(), beginning.end() - 1, '.', '_');
      if (beginning.find('_') == std::string::npos || name.find('.') != std::string::npos) continue;
      if (key.starts_with(beginning)) {
        return before + "." + name + "." + dotted(key.substr(beginning.size()));
      }
    }
  }
  return dotted(key);
}

bool is_secret(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array words{"password", "secret",  "token",       "credential",   "passphrase",
                             "jaas",     "api.key", "private.key", "keystore.key", "accesskey"};
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return lower.find(word) != lower.npos; });
}

bool is_reference(const std::string& value) {
  return value.starts_with("${") && value.find('}') == value.size() - 1;
}

/// postgresql://user:password@host, password=…
std::string without_passwords(const std::string& value) {
  static const std::regex in_authority{R"((://[^/@:\s]*:)[^@\s]*@)"};
  static const std::regex as_parameter{R"((password=)[^&;\s]*)", std::regex::icase};
  return std::regex_replace(std::regex_replace(value, in_authority, "$1****@"), as_parameter,
                            "$1****");
}

}  // namespace

Result<Settings, std::vector<std::string>> to_settings(const Json& config) {
  const auto users = names_in(config);
  Settings settings;
  std::vector<std::string> mistakes;
  for (const auto& [key, value] : config.items()) {
    const auto name = name_of(key, users);
    const auto setting = setting_of(value);
    if (!setting) {
      mistakes.push_back(key + " has to be a text, a number, true, false or a list of those");
    } else if (!settings.emplace(name, *setting).second) {
      mistakes.push_back(name + " comes twice, keep one of its spellings");
    }
  }
  if (!settings.contains("connector.class")) {
    mistakes.emplace_back(
        "connector_class is missing, such as io.debezium.connector.postgresql.PostgresConnector");
  }
  if (!mistakes.empty()) return mistakes;
  return settings;
}

bool says_how_to_make_topics(const Settings& settings) {
  return settings.contains(partitions) || settings.contains(replication);
}

void let_connect_make_topics(Settings& settings) {
  settings.try_emplace(partitions, "-1");  // the brokers' default
  settings.try_emplace(replication, "-1");
}

Settings masked(const Settings& settings) {
  Settings shown;
  for (const auto& [name, value] : settings) {
    shown[name] =
        is_secret(name) && !is_reference(value) ? std::string{mask} : without_passwords(value);
  }
  return shown;
}

std::string without_secrets(std::string text, const Settings& settings) {
  constexpr std::size_t shortest = 3;  // a shorter one is in any text
  for (const auto& [name, value] : settings) {
    if (!is_secret(name) || value.size() < shortest) continue;
    for (auto at = text.find(value); at != text.npos; at = text.find(value, at + mask.size())) {
      text.replace(at, value.size(), mask);
    }
  }
  return without_passwords(text);
}

bool is_connector_name(std::string_view name) {
  constexpr std::size_t longest = 200;
  return is_plain_name(name, longest) && name != "." && name != "..";
}

}  // namespace lockstep::control
