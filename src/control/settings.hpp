#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "answer.hpp"
#include "lockstep/model/result.hpp"

/// A connector's configuration, as it is written here and as Connect has it. Pure.
namespace lockstep::control {

using Settings = std::map<std::string, std::string>;

/// `config` with Debezium's names: table_include_list is table.include.list. A name that has a dot
/// is one of those already. The names that transforms, predicates and topic.creation.groups give
/// keep their underscores. A list becomes what Connect takes for one: a,b. Errors: all mistakes.
Result<Settings, std::vector<std::string>> to_settings(const Json& config);

/// Has Connect make the topics, as the brokers do by default, where it was not told how.
void let_connect_make_topics(Settings& settings);
bool says_how_to_make_topics(const Settings& settings);

/// With **** for what is secret, but for references to secrets: ${env:…}.
Settings masked(const Settings& settings);
/// `text` without the values that are secret.
std::string without_secrets(std::string text, const Settings& settings);

/// What Connect, and its URLs, take for sure.
bool is_connector_name(std::string_view name);

}  // namespace lockstep::control
