// A test to watch: makes one change after the other in the source and shows each arrive in the
// target.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <iostream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

#include "database.hpp"
#include "lockstep/postgres/catalog.hpp"
#include "lockstep/postgres/mapping.hpp"
#include "program.hpp"
#include "terminal.hpp"

namespace lockstep::tools {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds poll_interval{2};

volatile std::sig_atomic_t interrupted = 0;

/// A step did not do what it should; the text is shown beside it.
struct StepFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct RowName {
  std::string table;
  std::string id;  ///< empty: there is no row
};

struct TargetRow {
  std::string json;  ///< without synced_at
  std::optional<std::int64_t> synced_at_us;
};

class Demo {
 public:
  Demo(pqxx::connection& source, pqxx::connection& target, const config::PostgresSink& sink,
       std::chrono::seconds timeout)
      : source_{source}, target_{target}, sink_{sink}, timeout_{timeout} {}
  ~Demo() { clean_up(); }
  Demo(const Demo&) = delete;
  Demo& operator=(const Demo&) = delete;

  /// Prints a line a step. True if every change arrived.
  bool run();

 private:
  const RowName& insert(RowName& row, const std::string& columns_and_values);
  const RowName& update(const RowName& row, const std::string& assignments);
  RowName remove(RowName& row);

  /// Waits until the target has what the source has. Throws StepFailed.
  milliseconds await(const RowName& row, std::int64_t changed_after_us);

  std::string source_row(const RowName& row);  ///< as JSON; empty: none
  std::string written_columns(const std::string& table);
  std::optional<TargetRow> target_row(const RowName& row);
  std::int64_t target_clock_us();
  void clean_up() noexcept;

  pqxx::connection& source_;
  pqxx::connection& target_;
  const config::PostgresSink& sink_;
  const postgres::Mapping mapping_{sink_.schema, sink_.tables};
  std::chrono::seconds timeout_;
  // In the order of their foreign keys.
  RowName user_{"users", ""};
  RowName order_{"orders", ""};
  RowName package_{"package_status", ""};
  RowName hero_{"super_heroes", ""};
};

/// Distinct from those of demos that run at the same time.
std::string unique_email() {
  std::random_device random;
  return "demo-" + std::to_string(::getpid()) + "-" + std::to_string(random()) + "@example.com";
}

bool Demo::run() {
  struct Step {
    std::string title;
    std::function<RowName()> change;  ///< makes it, commits, and names the row
  };
  const Step steps[] = {
      {"insert a user",
       [&] { return insert(user_, "(name, email) VALUES ('Demo', '" + unique_email() + "')"); }},
      {"insert an order",
       [&] {
         return insert(order_, "(user_id, product_name, quantity, price, status) VALUES (" +
                                   user_.id + ", 'Demo ☕', 2, 19.90, 'new')");
       }},
      {"post a package",
       [&] {
         return insert(package_, "(customer_id, actual_address, next_address) VALUES (" + user_.id +
                                     ", 'Demo Street 1', 'Zoë''s place')");
       }},
      {"insert a hero",
       [&] { return insert(hero_, "(name, secret_identity) VALUES ('Captain Demo', NULL)"); }},
      {"update the user", [&] { return update(user_, "name = 'Zoë Demo', updated_at = now()"); }},
      {"update the order",
       [&] { return update(order_, "status = 'paid', quantity = 3, updated_at = now()"); }},
      {"move the package",
       [&] { return update(package_, "status = 'In Transit', updated_at = now()"); }},
      {"update the hero", [&] { return update(hero_, "powers = 'flight'"); }},
      {"delete the hero", [&] { return remove(hero_); }},
      {"delete the package", [&] { return remove(package_); }},
      {"delete the order", [&] { return remove(order_); }},
      {"delete the user", [&] { return remove(user_); }},
  };
  milliseconds slowest{0};
  for (const auto& step : steps) {
    std::cout << "  " << std::left << std::setw(20) << step.title << std::flush;
    try {
      const std::int64_t before_us = target_clock_us();
      const RowName row = step.change();
      const milliseconds latency = await(row, before_us);
      slowest = std::max(slowest, latency);
      std::cout << green("✓") << std::right << std::setw(7) << latency.count() << " ms   "
                << row.table << " " << row.id << std::endl;
    } catch (const std::exception& error) {
      std::cout << red("✗ ") << one_line(error) << std::endl;
      return false;
    }
  }
  std::cout << "\nAll " << std::size(steps) << " changes arrived, the slowest after "
            << slowest.count() << " ms." << std::endl;
  return true;
}

const RowName& Demo::insert(RowName& row, const std::string& columns_and_values) {
  row.id = execute(source_, "INSERT INTO public." + row.table + " " + columns_and_values +
                                " RETURNING id")[0][0]
               .c_str();
  return row;
}

const RowName& Demo::update(const RowName& row, const std::string& assignments) {
  execute(source_, "UPDATE public." + row.table + " SET " + assignments + " WHERE id = " + row.id);
  return row;
}

RowName Demo::remove(RowName& row) {
  execute(source_, "DELETE FROM public." + row.table + " WHERE id = " + row.id);
  RowName removed = row;
  row.id.clear();
  return removed;
}

milliseconds Demo::await(const RowName& row, std::int64_t changed_after_us) {
  const auto begun = Clock::now();
  const std::string want = source_row(row);
  std::string have;
  while (Clock::now() - begun < timeout_) {
    const auto found = target_row(row);
    have = found ? found->json : "";
    if (have == want) {
      const auto latency = std::chrono::ceil<milliseconds>(Clock::now() - begun);
      if (found && !sink_.synced_at.empty() && found->synced_at_us.value_or(0) < changed_after_us) {
        throw StepFailed{"it arrived, but " + sink_.synced_at + " was not moved"};
      }
      return latency;
    }
    if (interrupted != 0) throw StepFailed{"interrupted"};
    std::this_thread::sleep_for(poll_interval);
  }
  const auto shown = [](const std::string& json) { return json.empty() ? "no such row" : json; };
  throw StepFailed{"not in the target after " + std::to_string(timeout_.count()) +
                   " s; source: " + shown(want) + ", target: " + shown(have)};
}

std::string Demo::source_row(const RowName& row) {
  const auto found = execute(source_, "SELECT " + written_columns(row.table) + " FROM public." +
                                          row.table + " t WHERE id = " + row.id);
  return found.empty() ? "" : found[0][0].c_str();
}

/// What the target gets of a row, as JSON, under the target's names.
std::string Demo::written_columns(const std::string& table) {
  std::string left = "to_jsonb(t)";
  std::string renamed;
  if (const auto* const rule = mapping_.rule_of({"public", table})) {
    for (const auto& name : rule->exclude) left += " - " + source_.quote(name);
    for (const auto& [from, to] : rule->rename) {
      left += " - " + source_.quote(from);
      renamed += " || CASE WHEN to_jsonb(t) ? " + source_.quote(from) +
                 " THEN jsonb_build_object(" + source_.quote(to) + ", to_jsonb(t) -> " +
                 source_.quote(from) + ") ELSE '{}' END";
    }
  }
  return "(" + left + ")" + renamed;
}

std::optional<TargetRow> Demo::target_row(const RowName& row) {
  pqxx::read_transaction tx{target_};
  const Relation source{"public", row.table};
  std::string columns = "to_jsonb(t), NULL";
  if (!sink_.synced_at.empty()) {
    columns = "to_jsonb(t) - " + tx.quote(sink_.synced_at) + ", (extract(epoch FROM " +
              tx.quote_name(sink_.synced_at) + ") * 1000000)::bigint";
  }
  const auto found = query(
      tx, "SELECT " + columns + " FROM " + postgres::quoted_name(mapping_.target_of(source)) +
              " t WHERE " + postgres::quote_name(mapping_.name_of(source, "id")) + " = " + row.id);
  if (found.empty()) return std::nullopt;
  TargetRow result{found[0][0].c_str(), std::nullopt};
  if (!found[0][1].is_null()) result.synced_at_us = found[0][1].as<std::int64_t>();
  return result;
}

std::int64_t Demo::target_clock_us() {
  return execute(target_, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")[0][0]
      .as<std::int64_t>();
}

void Demo::clean_up() noexcept {
  for (RowName* const row : {&hero_, &package_, &order_, &user_}) {
    if (row->id.empty()) continue;
    try {
      remove(*row);
    } catch (const std::exception& error) {
      std::cerr << error_mark() << "the demo's row is still in the source (" << row->table << " "
                << row->id << "): " << one_line(error) << std::endl;
    }
  }
}

int run(int argc, char** argv) {
  int timeout_s = 30;
  Program program{
      "Inserts, updates and deletes a row in each of the sample tables of the source, and shows "
      "each\n"
      "change arrive in the target. Removes its rows again. Exits with 0 only if every change "
      "arrived.",
      "demo\n"
      "demo --timeout 5\n"
      "SOURCE_URL=postgresql://me@db-1/shop demo --config my.yaml"};
  program.with_source();
  program.with_pipeline();
  program.options()
      .add_option("--timeout", timeout_s, "seconds to wait for each change")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  return program.run(argc, argv, [&] {
    // The step in progress fails, and the rows go: also when nobody reads what is printed.
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) {
      std::signal(signal, [](int) { interrupted = 1; });
    }
    auto source = program.source();
    auto target = program.target();
    check_differ(source.connection(), target.connection());
    check_publishes(source.connection(), {"users", "orders", "package_status", "super_heroes"});
    std::cout << "source " << describe(source.connection()) << ", target "
              << describe(target.connection()) << "\n\n";
    Demo demo{source.connection(), target.connection(), program.sink(),
              std::chrono::seconds{timeout_s}};
    if (demo.run()) return true;
    std::cout << "\nNot every change arrived. Does lockstepd run, and what does its log say?\n";
    return false;
  });
}

}  // namespace
}  // namespace lockstep::tools

int main(int argc, char** argv) {
  return lockstep::tools::run(argc, argv);
}
