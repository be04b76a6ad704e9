#include "connector.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "daemon.hpp"
#include "eventually.hpp"
#include "stack.hpp"

namespace lockstep::test {

namespace {

/// The name that a quoted identifier stands for.
std::string without_quotes(const std::string& identifier) {
  if (!identifier.starts_with('"')) return identifier;
  std::string name;
  for (std::size_t i = 1; i + 1 < identifier.size(); ++i) {
    if (identifier[i] == '"') ++i;
    name += identifier[i];
  }
  return name;
}

void ask_to_restart(const std::string& connector, const std::string& what) {
  const std::string restart = "curl -s -m 10 -o /dev/null -X POST '" +
                              Stack::from_environment().connect_url + "/connectors/" + connector +
                              "/restart?" + what + "'";
  static_cast<void>(std::system(restart.c_str()));  // it may be away; it is asked again
}

}  // namespace

Connector::Connector(std::string name, const std::vector<std::string>& tables,
                     const Settings& settings)
    : name_{std::move(name)} {
  std::string patterns;
  for (const auto& table : tables) {
    patterns += (patterns.empty() ? "" : ",") + ("public." + without_quotes(table));
  }
  publish(tables, "CREATE PUBLICATION " + name_ + " FOR TABLE ");
  settings_ = nlohmann::json::parse(
      std::ifstream{LOCKSTEP_SOURCE_DIR "/debezium-config/postgres-connector.json"});
  for (const auto* setting : {"name", "topic.prefix", "slot.name", "publication.name"}) {
    settings_[setting] = name_;
  }
  settings_["table.include.list"] = patterns;
  for (const auto& [key, value] : settings) {
    settings_.erase(key);
    if (!value.empty()) settings_[key] = value;
  }
  configure();
}

void Connector::publish(const std::vector<std::string>& tables, const std::string& verb) const {
  std::string list;
  for (const auto& table : tables) list += (list.empty() ? "" : ",") + ("public." + table);
  Database source{Stack::from_environment().source_url};
  static std::mutex one_by_one;  // two GRANTs on one table at a time are an error
  const std::lock_guard lock{one_by_one};
  source.exec("GRANT SELECT ON " + list + " TO debezium");
  source.exec(verb + list);
}

void Connector::configure() const {
  const auto file = fresh_folder("connector-" + name_) / "connector.json";
  std::ofstream{file} << nlohmann::json(settings_).dump(2);
  Stack::from_environment().run("connector " + file.string());
}

void Connector::add(const std::string& table) {
  publish({table}, "ALTER PUBLICATION " + name_ + " ADD TABLE ");
  settings_["table.include.list"] += ",public." + without_quotes(table);
  configure();
}

Connector::~Connector() {
  try {
    const Stack& stack = Stack::from_environment();
    const std::string remove =
        "curl -fs -m 10 -o /dev/null -X DELETE " + stack.connect_url + "/connectors/" + name_;
    const std::string slot = "pg_replication_slots WHERE slot_name = '" + name_ + "'";
    Database source{stack.source_url};
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
         std::chrono::steady_clock::now() < end;) {
      // Connect answers 409 while it balances, and a dropped slot must not be in use.
      static_cast<void>(std::system(remove.c_str()));
      if (source.text("SELECT count(*) FROM " + slot + " AND active") == "0") break;
    }
    source.exec("SELECT pg_drop_replication_slot(slot_name) FROM " + slot);
    source.exec("DROP PUBLICATION " + name_);
  } catch (const std::exception& error) {
    std::cerr << "connector " << name_ << " not removed: " << error.what() << "\n";
  }
}

void Connector::restart() const {
  ask_to_restart(name_, "includeTasks=true");
}

void Connector::restart_failed() const {
  ask_to_restart(name_, "includeTasks=true&onlyFailed=true");
}

}  // namespace lockstep::test
