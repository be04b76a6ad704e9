// Makes changes at the source for a replica to follow: realistic rows, in a mix and at a rate.

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "database.hpp"
#include "program.hpp"
#include "terminal.hpp"
#include "text_table.hpp"

namespace lockstep::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array<std::string_view, 12> first_names{"Ada",    "Grace", "Edsger", "Barbara",
                                                       "Jürgen", "Zoë",   "Alan",   "Margaret",
                                                       "Linus",  "Radia", "Donald", "Frances"};
constexpr std::array<std::string_view, 12> last_names{
    "Lovelace", "Hopper",   "Dijkstra", "Liskov",  "Groß",  "Washburne",
    "Turing",   "Hamilton", "O'Brien",  "Perlman", "Knuth", "Allen"};
constexpr std::array<std::string_view, 8> products{
    "Mechanical keyboard", "Compiler, boxed",  "Semaphore, brass", "Café press ☕",
    "Punched cards, 1000", "Substitution kit", "USB cable, 2 m",   "Straßenkarte 'Köln'"};
constexpr std::array<std::string_view, 8> streets{"Main Street", "Navy Yard",  "Park Lane",
                                                  "Rue Cler",    "Domkloster", "Ockham Road",
                                                  "Elm Street",  "Østergade"};
constexpr std::array<std::string_view, 8> towns{"London", "Arlington", "Köln",      "Paris",
                                                "Surrey", "Newark",    "Eindhoven", "København"};

volatile std::sig_atomic_t interrupted = 0;

enum class Operation : std::uint8_t { insert, update, remove };
constexpr std::array<const char*, 3> operation_names{"insert", "update", "delete"};

enum class Table : std::uint8_t { package_status, users, orders };
constexpr std::array<const char*, 3> table_names{"package_status", "users", "orders"};
constexpr std::array<int, 3> table_shares{5, 2, 3};

struct Change {
  Table table;
  Operation operation;
};

using Counts = std::map<Table, std::array<std::size_t, 3>>;  // by operation

/// The same numbers for the same seed, whatever the standard library.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_{seed} {}

  /// In [0, below).
  std::size_t below(std::size_t below) { return engine_() % below; }
  template <class Words>
  std::string one_of(const Words& words) {
    return std::string{words[below(words.size())]};
  }
  /// Between the two, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::size_t>(high - low) + 1));
  }

 private:
  std::mt19937_64 engine_;
};

/// `total` in these proportions, to the last one. Not all of them are 0.
std::vector<std::size_t> shares(std::size_t total, const std::vector<int>& proportions) {
  std::size_t sum = 0;
  for (const int one : proportions) sum += static_cast<std::size_t>(one);
  std::vector<std::size_t> result;
  std::size_t given = 0;
  std::size_t before = 0;
  for (const int one : proportions) {
    before += static_cast<std::size_t>(one);
    const std::size_t up_to_here = (total * before + sum / 2) / sum;
    result.push_back(up_to_here - given);
    given = up_to_here;
  }
  return result;
}

/// So many changes of these tables, each operation as often as `mix` says, in a random order.
std::vector<Change> plan(std::size_t quantity, const std::vector<int>& mix,
                         const std::vector<Table>& tables, Dice& dice) {
  std::vector<int> weights;
  for (const auto table : tables) weights.push_back(table_shares[static_cast<std::size_t>(table)]);
  std::vector<Change> changes;
  const auto by_operation = shares(quantity, mix);
  for (std::size_t i = 0; i < by_operation.size(); ++i) {
    const auto by_table = shares(by_operation[i], weights);
    for (std::size_t j = 0; j < by_table.size(); ++j) {
      changes.insert(changes.end(), by_table[j], {tables[j], static_cast<Operation>(i)});
    }
  }
  for (std::size_t i = changes.size(); i > 1; --i)
    std::swap(changes[i - 1], changes[dice.below(i)]);
  return changes;
}

/// Makes changes in one transaction at a time. What a change needs and is not there (an order's
/// user, a row to update or to delete) it inserts in its place.
class Generator {
 public:
  Generator(pqxx::connection& source, Dice& dice);

  /// Commits these changes, and counts what it did.
  void make(const Change* begin, const Change* end);

  const Counts& counts() const { return counts_; }

 private:
  struct Row {
    std::string id;
    std::string status;
  };

  void make(Change change);
  std::string insert(Table table);
  std::string insert_user();
  std::string insert_order();
  std::string insert_package();
  bool update(Table table);
  bool update_user();
  bool update_order();
  bool update_package();
  bool remove(Table table);

  /// A row at random of those that meet the condition and that nobody else has locked, so that runs
  /// side by side do not wait for each other; locked. nullopt: there is none.
  std::optional<Row> pick(Table table, const std::string& condition, const std::string& lock);
  /// A user at random, who can't be deleted before we commit; a new one if there is none.
  std::string some_user();

  std::string quoted(const std::string& text) { return tx_->quote(text); }
  pqxx::result run(const std::string& sql) { return query(*tx_, sql); }
  void count(Table table, Operation operation) {
    ++uncommitted_[table][static_cast<std::size_t>(operation)];
  }

  pqxx::connection& source_;
  Dice& dice_;
  std::optional<pqxx::work> tx_;
  std::int64_t next_email_ = 1;
  std::map<Table, std::pair<std::int64_t, std::int64_t>> ids_;  // first and last
  Counts uncommitted_;
  Counts counts_;
};

std::string person(Dice& dice) {
  const auto first = dice.one_of(first_names);  // in this order, so that the seed tells all
  return first + " " + dice.one_of(last_names);
}

std::string name_of(Table table) {
  return table_names[static_cast<std::size_t>(table)];
}

Generator::Generator(pqxx::connection& source, Dice& dice) : source_{source}, dice_{dice} {
  tx_.emplace(source_);
  for (const auto table : {Table::package_status, Table::users, Table::orders}) {
    const auto row =
        run("SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM public." + name_of(table))[0];
    ids_[table] = {row[0].as<std::int64_t>(), row[1].as<std::int64_t>()};
  }
  next_email_ =
      run("SELECT coalesce(max(substring(email from '([0-9]{1,17})@example\\.net$')::bigint),"
          " 0) + 1 FROM public.users")[0][0]
          .as<std::int64_t>();
  tx_->commit();
  tx_.reset();
}

void Generator::make(const Change* begin, const Change* end) {
  uncommitted_.clear();
  tx_.emplace(source_);
  try {
    for (const Change* change = begin; change != end; ++change) make(*change);
    tx_->commit();
  } catch (...) {
    tx_.reset();
    throw;
  }
  tx_.reset();
  for (const auto& [table, operations] : uncommitted_) {
    for (std::size_t i = 0; i < operations.size(); ++i) counts_[table][i] += operations[i];
  }
}

void Generator::make(Change change) {
  const bool done = change.operation == Operation::update   ? update(change.table)
                    : change.operation == Operation::remove ? remove(change.table)
                                                            : false;
  if (done) {
    count(change.table, change.operation);
  } else {
    insert(change.table);
  }
}

std::string Generator::insert(Table table) {
  auto id = table == Table::users    ? insert_user()
            : table == Table::orders ? insert_order()
                                     : insert_package();
  count(table, Operation::insert);
  auto& [first, last] = ids_[table];
  if (last < first) first = std::stoll(id);
  last = std::max<std::int64_t>(last, std::stoll(id));
  return id;
}

std::string Generator::insert_user() {
  const auto name = person(dice_);
  for (;;) {  // another run may have taken the address
    const auto inserted = run("INSERT INTO public.users (name, email) VALUES (" + quoted(name) +
                              ", 'customer" + std::to_string(next_email_++) +
                              "@example.net') ON CONFLICT (email) DO NOTHING RETURNING id");
    if (!inserted.empty()) return inserted[0][0].c_str();
  }
}

std::string Generator::insert_order() {
  const auto user = some_user();
  const auto cents = dice_.between(100, 99'999);
  const auto product = dice_.one_of(products);
  const auto quantity = std::to_string(dice_.between(1, 9));
  return run("INSERT INTO public.orders (user_id, product_name, quantity, price) VALUES (" + user +
             ", " + quoted(product) + ", " + quantity + ", " + std::to_string(cents) +
             " * 0.01) RETURNING id")[0][0]
      .c_str();
}

std::string address(Dice& dice) {
  const auto number = std::to_string(dice.between(1, 199));
  const auto street = dice.one_of(streets);
  return number + " " + street + ", " + dice.one_of(towns);
}

std::string Generator::insert_package() {
  const auto user = some_user();
  const auto from = address(dice_);
  const auto to = "Sorting centre, " + dice_.one_of(towns);
  return run("INSERT INTO public.package_status (customer_id, actual_address, next_address, status)"
             " VALUES (" +
             user + ", " + quoted(from) + ", " + quoted(to) +
             ", 'Package Posted') RETURNING id")[0][0]
      .c_str();
}

bool Generator::update(Table table) {
  if (table == Table::users) return update_user();
  return table == Table::orders ? update_order() : update_package();
}

bool Generator::update_user() {
  const auto row = pick(Table::users, "true", "FOR NO KEY UPDATE");
  if (!row) return false;
  const auto name = person(dice_);
  run("UPDATE public.users SET name = " + quoted(name) +
      ", updated_at = clock_timestamp() WHERE id = " + row->id);
  return true;
}

/// new, paid, shipped, delivered; some are cancelled.
bool Generator::update_order() {
  const auto row =
      pick(Table::orders, "status NOT IN ('delivered', 'cancelled')", "FOR NO KEY UPDATE");
  if (!row) return false;
  const bool cancelled = dice_.below(10) == 0;
  const std::string next = cancelled               ? "cancelled"
                           : row->status == "new"  ? "paid"
                           : row->status == "paid" ? "shipped"
                                                   : "delivered";
  run("UPDATE public.orders SET status = '" + next +
      "', updated_at = clock_timestamp() WHERE id = " + row->id);
  return true;
}

/// Package Posted, In Transit, Package Delivered.
bool Generator::update_package() {
  const auto row = pick(Table::package_status, "status IN ('Package Posted', 'In Transit')",
                        "FOR NO KEY UPDATE");
  if (!row) return false;
  std::string next = "'Package Delivered', next_address = NULL";
  if (row->status == "Package Posted") {
    next = "'In Transit', next_address = " + quoted(address(dice_));
  }
  run("UPDATE public.package_status SET actual_address = coalesce(next_address, actual_address),"
      " status = " +
      next + ", updated_at = clock_timestamp() WHERE id = " + row->id);
  return true;
}

bool Generator::remove(Table table) {
  const auto row = pick(table,
                        table == Table::users
                            ? "NOT EXISTS (SELECT FROM public.orders o WHERE o.user_id = t.id) AND "
                              "NOT EXISTS (SELECT FROM public.package_status p WHERE p.customer_id "
                              "= t.id)"
                            : "true",
                        "FOR UPDATE");
  if (!row) return false;
  run("DELETE FROM public." + name_of(table) + " WHERE id = " + row->id);
  return true;
}

std::optional<Generator::Row> Generator::pick(Table table, const std::string& condition,
                                              const std::string& lock) {
  const auto [first, last] = ids_[table];
  if (last < first) return std::nullopt;
  const auto from = std::to_string(dice_.between(first, last));
  const std::string columns = table == Table::users ? "id, ''" : "id, status";
  const std::string select = "SELECT " + columns + " FROM public." + name_of(table) + " t WHERE ";
  const std::string end = " AND " + condition + " ORDER BY id LIMIT 1 " + lock + " SKIP LOCKED";
  auto found = run(select + "id >= " + from + end);
  if (found.empty()) found = run(select + "id < " + from + end);
  if (found.empty()) return std::nullopt;
  return Row{found[0][0].c_str(), found[0][1].c_str()};
}

std::string Generator::some_user() {
  const auto row = pick(Table::users, "true", "FOR KEY SHARE");
  return row ? row->id : insert(Table::users);
}

struct Options {
  std::size_t quantity = 10;
  double rate = 0;
  std::string mix = "70:25:5";
  std::optional<std::uint64_t> seed;
  std::vector<std::string> tables;
};

std::vector<int> parse_mix(const std::string& text) {
  std::vector<int> mix;
  std::size_t begin = 0;
  int sum = 0;
  while (begin <= text.size()) {
    const auto end = std::min(text.find(':', begin), text.size());
    const auto part = text.substr(begin, end - begin);
    if (part.empty() || part.size() > 4 || part.find_first_not_of("0123456789") != part.npos) break;
    mix.push_back(std::stoi(part));
    sum += mix.back();
    begin = end + 1;
  }
  if (mix.size() != 3 || begin <= text.size() || sum == 0) {
    throw UsageError{"--mix: \"" + text +
                     "\" is not insert:update:delete; expected three whole numbers, such as "
                     "70:25:5"};
  }
  return mix;
}

std::vector<Table> parse_tables(const std::vector<std::string>& names) {
  std::vector<Table> tables;
  for (std::size_t i = 0; i < table_names.size(); ++i) {
    const bool wanted =
        names.empty() || std::find(names.begin(), names.end(), table_names[i]) != names.end();
    if (wanted) tables.push_back(static_cast<Table>(i));
  }
  return tables;
}

/// All of them, in transactions of up to 100, or of one where a rate is asked for. How many.
std::size_t make_all(Generator& generator, const std::vector<Change>& changes, double rate) {
  constexpr std::size_t per_transaction = 100;
  constexpr int patience = 10;
  Progress progress{changes.size()};
  const auto begun = Clock::now();
  std::size_t done = 0;
  int failures = 0;
  while (done < changes.size() && interrupted == 0) {
    std::size_t count = std::min(per_transaction, changes.size() - done);
    if (rate > 0) {
      count = 1;
      const std::chrono::duration<double> due{static_cast<double>(done) / rate};
      const auto at = begun + std::chrono::duration_cast<Clock::duration>(due);
      while (Clock::now() < at && interrupted == 0) {  // a signal must not wait for long
        std::this_thread::sleep_until(std::min(at, Clock::now() + std::chrono::milliseconds{100}));
      }
    }
    try {
      generator.make(&changes[done], &changes[done] + count);
      done += count;
      failures = 0;
    } catch (const pqxx::statement_completion_unknown&) {
      throw;                                       // it may be committed
    } catch (const pqxx::transaction_rollback&) {  // a deadlock: a transaction anew makes it good
      if (++failures > patience) throw;
    } catch (const pqxx::foreign_key_violation&) {  // another run has added an order of the user
      if (++failures > patience) throw;
    }
    progress.at(done);
  }
  return done;
}

void print(const Counts& counts, std::uint64_t seed, double seconds, bool json) {
  std::array<std::size_t, 3> sums{};
  std::size_t total = 0;
  TextTable shown{{{"table"}, {"inserted", true}, {"updated", true}, {"deleted", true}}};
  auto tables = nlohmann::ordered_json::object();
  for (const auto& [table, operations] : counts) {
    TextTable::Row cells{name_of(table)};
    for (std::size_t i = 0; i < operations.size(); ++i) {
      cells.emplace_back(std::to_string(operations[i]));
      tables[name_of(table)][operation_names[i]] = operations[i];
      sums[i] += operations[i];
      total += operations[i];
    }
    shown.add(cells);
  }
  if (json) {
    const nlohmann::ordered_json document{
        {"changes", total}, {"seed", seed}, {"seconds", seconds}, {"tables", tables}};
    std::cout << document.dump(2) << '\n';
    return;
  }
  shown.print(std::cout);
  std::cout << total << (total == 1 ? " change" : " changes") << " in "
            << static_cast<long>(seconds * 1000) << " ms: " << sums[0] << " inserted, " << sums[1]
            << " updated, " << sums[2] << " deleted (--seed " << seed << ")\n";
}

int run(int argc, char** argv) {
  Options options;
  Program program{
      "Makes changes at the source, for the replica to follow: packages that go from Package "
      "Posted\n"
      "over In Transit to Package Delivered, users, and their orders. Run it as often as you like.",
      "generate_changes -Q 100\n"
      "generate_changes -Q 5000 --rate 50 --mix 20:70:10\n"
      "generate_changes --table package_status --seed 7 --json"};
  auto& app = program.options();
  app.add_option("-Q,--quantity", options.quantity, "how many changes")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000'000));
  app.add_option("--rate", options.rate,
                 "changes a second, each in a transaction of its own (default: as fast as it goes, "
                 "100 in each)")
      ->check(CLI::Range(0.01, 100'000.0));
  app.add_option("--mix", options.mix, "the share of inserts, updates and deletes")
      ->type_name("I:U:D")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "the same seed makes the same changes of the same rows")
      ->type_name("NUMBER");
  app.add_option("--table", options.tables, "only of this table; can be given again")
      ->check(CLI::IsMember({"package_status", "users", "orders"}));
  program.with_source();
  program.with_json("print what it did as a JSON object");
  return program.run(argc, argv, [&] {
    const auto mix = parse_mix(options.mix);
    const auto tables = parse_tables(options.tables);
    const std::uint64_t seed = options.seed.value_or(std::random_device{}());
    auto source = program.source();
    check_publishes(source.connection(), {"package_status", "users", "orders"});
    for (const int signal : {SIGINT, SIGTERM}) {
      std::signal(signal, [](int) { interrupted = 1; });
    }
    Dice dice{seed};
    const auto changes = plan(options.quantity, mix, tables, dice);
    const auto begun = Clock::now();
    Generator generator{source.connection(), dice};
    std::size_t done = 0;
    std::string failure;
    try {
      done = make_all(generator, changes, options.rate);
    } catch (const std::exception& error) {
      failure = one_line(error);
    }
    print(generator.counts(), seed, std::chrono::duration<double>(Clock::now() - begun).count(),
          program.json());
    if (!failure.empty()) throw Failure{"source " + describe(source.connection()) + ": " + failure};
    if (done == changes.size()) return true;
    throw Failure{"interrupted after " + std::to_string(done) + " of " +
                  std::to_string(changes.size()) + " changes; what is counted is committed"};
  });
}

}  // namespace
}  // namespace lockstep::tools

int main(int argc, char** argv) {
  return lockstep::tools::run(argc, argv);
}
