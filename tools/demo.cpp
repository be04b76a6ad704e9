// A test to watch: makes one change after the other in the source and shows each arrive in the
// target.

#include <unistd.h>

#include <CLI/CLI.hpp>
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
#include "lockstep/config/environment.hpp"
#include "lockstep/config/url.hpp"
#include "lockstep/postgres/catalog.hpp"
#include "lockstep/postgres/mapping.hpp"

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
  const RowName& insert_user();
  const RowName& insert_order();
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
  RowName user_{"users", ""};
  RowName order_{"orders", ""};
};

/// In a transaction of its own.
pqxx::result execute(pqxx::connection& connection, const std::string& sql) {
  pqxx::work tx{connection};
  auto result = query(tx, sql);
  tx.commit();
  return result;
}

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
      {"insert a user", [&] { return insert_user(); }},
      {"insert an order", [&] { return insert_order(); }},
      {"update the user", [&] { return update(user_, "name = 'Zoë Demo', updated_at = now()"); }},
      {"update the order",
       [&] { return update(order_, "status = 'paid', quantity = 3, updated_at = now()"); }},
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
      std::cout << "✓" << std::right << std::setw(7) << latency.count() << " ms   " << row.table
                << " " << row.id << std::endl;
    } catch (const std::exception& error) {
      std::cout << "✗ " << one_line(error) << std::endl;
      return false;
    }
  }
  std::cout << "\nAll " << std::size(steps) << " changes arrived, the slowest after "
            << slowest.count() << " ms." << std::endl;
  return true;
}

const RowName& Demo::insert_user() {
  const auto inserted =
      execute(source_, "INSERT INTO public.users (name, email) VALUES ('Demo', '" + unique_email() +
                           "') RETURNING id");
  user_.id = inserted[0][0].c_str();
  return user_;
}

const RowName& Demo::insert_order() {
  const auto inserted = execute(
      source_,
      "INSERT INTO public.orders (user_id, product_name, quantity, price, status) VALUES (" +
          user_.id + ", 'Demo ☕', 2, 19.90, 'new') RETURNING id");
  order_.id = inserted[0][0].c_str();
  return order_;
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
  try {
    if (!order_.id.empty()) remove(order_);
    if (!user_.id.empty()) remove(user_);
  } catch (const std::exception& error) {
    std::cerr << "error: the demo's rows are still in the source (users " << user_.id << ", orders "
              << order_.id << "): " << one_line(error) << std::endl;
  }
}

std::string value_or(const config::Environment& environment, const std::string& name,
                     const std::string& otherwise) {
  const auto value = environment.find(name);
  return value && !value->empty() ? *value : otherwise;
}

/// A connection string for libpq: `option`, else SOURCE_URL, else what the variables of the local
/// stack say. Errors: which of them is no URL; never its text.
Result<std::string, config::Error> source_url(const std::string& option,
                                              const config::Environment& environment) {
  const auto variable = value_or(environment, "SOURCE_URL", "");
  const auto& url = option.empty() ? variable : option;
  if (!url.empty()) {
    if (auto checked = config::check_postgres_url(url); !checked) {
      return config::Error{(option.empty() ? "SOURCE_URL " : "--source ") +
                           checked.error().message};
    }
    return url;
  }
  std::string pairs = "user=postgres dbname=source_db";
  const auto add = [&](const std::string& key, const std::string& name, const char* otherwise) {
    pairs += " " + key + "='";
    for (const char c : value_or(environment, name, otherwise)) {
      if (c == '\'' || c == '\\') pairs += '\\';
      pairs += c;
    }
    pairs += "'";
  };
  add("host", "SOURCE_HOST", "localhost");
  add("port", "SOURCE_PORT", "5432");
  add("password", "SOURCE_PASSWORD", "postgres");
  return pairs;
}

/// Throws unless the source can be the pipeline's, as far as can be told: changes in the target
/// itself, or in an application's database that happens to have such tables, must not be made.
void check_source(pqxx::connection& source, pqxx::connection& target) {
  const auto refuse = [&](const std::string& why) {
    throw std::runtime_error{"source " + describe(source) + " " + why +
                             "; nothing was written. Say where the pipeline's source is: "
                             "SOURCE_HOST and SOURCE_PORT, or SOURCE_URL, also in .env"};
  };
  pqxx::work tx{source};
  // Seen through any address, alias or pooler: a lock that is held here is held there, too.
  const std::string lock = std::to_string(std::random_device{}());
  query(tx, "SELECT pg_advisory_xact_lock(" + lock + ")");
  const auto free = execute(target, "SELECT pg_try_advisory_xact_lock(" + lock + ")");
  if (!free[0][0].as<bool>()) refuse("is the same database as the target");
  const auto tables = query(tx,
                            "SELECT name, to_regclass('public.' || name) IS NOT NULL,"
                            " EXISTS (SELECT FROM pg_publication_tables"
                            "         WHERE schemaname = 'public' AND tablename = name)"
                            " FROM unnest('{users,orders}'::text[]) AS name");
  for (const auto& table : tables) {
    const std::string name = std::string{"public."} + table[0].c_str();
    if (!table[1].as<bool>()) refuse("has no table " + name);
    if (!table[2].as<bool>())
      refuse("publishes no changes of " + name + " (no publication has it)");
  }
}

postgres::Session connect_to(const std::string& what, const std::string& url) {
  try {
    return connect(url);
  } catch (const std::exception& error) {
    throw std::runtime_error{what + ": " + one_line(error)};
  }
}

int run(int argc, char** argv) {
  std::string config_file = "config/lockstep.yaml";
  std::string pipeline_name;
  std::string source_option;
  int timeout_s = 30;
  CLI::App app{
      "Inserts, updates and deletes a user and an order in the source, and shows each change "
      "arrive\n"
      "in the target. Removes its rows again. Exits with 0 only if every change arrived."};
  app.add_option(
         "--source", source_option,
         "the source. Everybody on this machine can read a command line: a password belongs "
         "in\nSOURCE_URL, PGPASSWORD or ~/.pgpass. Default: SOURCE_URL, or source_db at "
         "SOURCE_HOST (localhost),\nSOURCE_PORT (5432), user postgres, SOURCE_PASSWORD "
         "(postgres), which may all stand in .env")
      ->type_name("URL");
  app.add_option("-c,--config", config_file, "the daemon's configuration, for the target")
      ->type_name("FILE")
      ->envname("LOCKSTEP_CONFIG")
      ->capture_default_str();
  app.add_option("--pipeline", pipeline_name, "whose target (default: the first pipeline's)");
  app.add_option("--timeout", timeout_s, "seconds to wait for each change")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? ok : usage;
  }
  const auto pipeline = read_pipeline(config_file, pipeline_name);
  if (!pipeline) {
    std::cerr << to_string(pipeline.error()) << '\n';
    return usage;
  }
  const auto environment = config::read_environment();
  if (!environment) {
    std::cerr << to_string(environment.error()) << '\n';
    return usage;
  }
  const auto url = source_url(source_option, *environment);
  if (!url) {
    std::cerr << url.error().message << '\n';
    return usage;
  }
  for (const int signal : {SIGINT, SIGTERM}) {
    std::signal(signal, [](int) { interrupted = 1; });  // the step in progress fails; rows go
  }
  try {
    auto source = connect_to("source", *url);
    auto target = connect_to("target", pipeline->sink.url);
    check_source(source.connection(), target.connection());
    std::cout << "source " << describe(source.connection()) << ", target "
              << describe(target.connection()) << "\n\n";
    Demo demo{source.connection(), target.connection(), pipeline->sink,
              std::chrono::seconds{timeout_s}};
    if (demo.run()) return ok;
    std::cout << "\nNot every change arrived. Does lockstepd run, and what does its log say?\n";
    return failed;
  } catch (const std::exception& error) {
    std::cerr << "error: " << one_line(error) << '\n';
    return failed;
  }
}

}  // namespace
}  // namespace lockstep::tools

int main(int argc, char** argv) {
  return lockstep::tools::run(argc, argv);
}
