// Makes changes for the benches and times their arrival. Those that time print a sample a line, in
// milliseconds; the scripts beside it make percentiles of them.

#include <librdkafka/rdkafka.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <memory>
#include <pqxx/pqxx>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "handles.hpp"
#include "record.hpp"

namespace lockstep::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int deadline_ms = 60'000;         // of a request to Kafka
constexpr int flush_deadline_ms = 280'000;  // a broker that serves 2,000 partitions takes its time
constexpr seconds arrival_deadline{20};     // of a change
constexpr microseconds poll_pause{200};     // the resolution; shorter would take the target's CPU
constexpr int warm_up = 10;                 // changes that are not counted: plans, schemas, caches

/// A database session in which every statement is a transaction.
class Session {
 public:
  explicit Session(const std::string& url) : connection_{url}, tx_{connection_} {}
  pqxx::result exec(const std::string& sql) { return tx_.exec(sql); }
  std::string quote(const std::string& text) { return tx_.quote(text); }

 private:
  pqxx::connection connection_;
  pqxx::nontransaction tx_;
};

/// When the query first has a row.
Clock::time_point arrival(Session& target, const std::string& query) {
  const auto begun = Clock::now();
  while (target.exec(query).empty()) {
    if (Clock::now() - begun > arrival_deadline) throw std::runtime_error{"no row: " + query};
    std::this_thread::sleep_for(poll_pause);
  }
  return Clock::now();
}

void print_sample(Clock::duration took) {
  std::cout << std::fixed << std::setprecision(3)
            << std::chrono::duration<double, std::milli>(took).count() << std::endl;
}

/// Not in step with anything that polls at an interval.
void random_pause() {
  static std::minstd_rand random{std::random_device{}()};
  std::this_thread::sleep_for(
      std::uniform_int_distribution<int>{20'000, 50'000}(random)*microseconds{1});
}

/// Greater with each run of this program: a version that the target has not seen.
std::int64_t fresh_version() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
             .count() *
         1000;
}

/// Changes single rows of orders at the source, an insert and an update in turn.
class Orders {
 public:
  explicit Orders(const std::string& url) : source_{url} {}

  struct Change {
    std::string id;
    std::string mark;  ///< the row's new product_name
    Clock::time_point committed;
  };
  /// Returns when the source has answered that it is committed.
  Change next() {
    Change change{last_, "change " + std::to_string(version_++), {}};
    if (last_.empty()) {
      change.id =
          source_
              .exec(
                  "INSERT INTO public.orders (user_id, product_name, quantity, price) VALUES (1, " +
                  source_.quote(change.mark) + ", 2, 19.90) RETURNING id")[0][0]
              .c_str();
      last_ = change.id;
    } else {
      source_.exec("UPDATE public.orders SET product_name = " + source_.quote(change.mark) +
                   ", status = 'paid', updated_at = now() WHERE id = " + change.id);
      last_.clear();
    }
    change.committed = Clock::now();
    return change;
  }

 private:
  Session source_;
  std::string last_;  ///< inserted and not updated yet
  std::int64_t version_ = fresh_version();
};

void time_rows(const std::string& source_url, const std::string& target_url, int count) {
  Orders orders{source_url};
  Session target{target_url};
  for (int i = -warm_up; i < count; ++i) {
    const auto change = orders.next();
    const auto arrived = arrival(target, "SELECT FROM public.orders WHERE id = " + change.id +
                                             " AND product_name = " + target.quote(change.mark));
    if (i >= 0) print_sample(arrived - change.committed);
    random_pause();
  }
}

// --- Kafka ---------------------------------------------------------------------------------------

using test::Event;
using test::Handle;
using test::Message;
using test::NewTopic;
using test::Options;
using test::Partitions;
using test::Queue;
using test::require;

using Properties = std::vector<std::pair<const char*, std::string>>;

Handle connect(rd_kafka_type_t type, const std::string& brokers, const Properties& properties,
               void (*on_delivery)(rd_kafka_t*, const rd_kafka_message_t*, void*) = nullptr,
               void* opaque = nullptr) {
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  std::array<char, 512> reason{};
  Properties all{{"bootstrap.servers", brokers}};
  all.insert(all.end(), properties.begin(), properties.end());
  for (const auto& [key, value] : all) {
    if (rd_kafka_conf_set(conf, key, value.c_str(), reason.data(), reason.size()) !=
        RD_KAFKA_CONF_OK) {
      throw std::runtime_error{reason.data()};
    }
  }
  if (on_delivery != nullptr) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_opaque(conf, opaque);
  Handle handle{rd_kafka_new(type, conf, reason.data(), reason.size())};
  if (!handle) throw std::runtime_error{reason.data()};
  return handle;
}

/// Writes records of the form of record.hpp, to partition 0.
class Producer {
 public:
  Producer(const std::string& brokers, const std::string& linger_ms)
      : handle_{connect(RD_KAFKA_PRODUCER, brokers,
                        {{"linger.ms", linger_ms},
                         {"acks", "all"},
                         {"queue.buffering.max.messages", "2000000"}},
                        delivered, this)} {}

  rd_kafka_t* handle() const { return handle_.get(); }

  void write(const std::string& table, std::int64_t id, std::int64_t version) {
    const std::string topic = "bench.public." + table;
    const std::string key = test::record_key(topic, id);
    const std::string value = test::record_value(topic, table, 'u', id, version, "bench");
    // RD_KAFKA_V_…() would be shorter, but is no standard C++.
    std::array<rd_kafka_vu_t, 5> record{};
    record[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    record[0].u.cstr = topic.c_str();
    record[1].vtype = RD_KAFKA_VTYPE_PARTITION;
    record[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    record[2].u.i = RD_KAFKA_MSG_F_COPY;
    record[3].vtype = RD_KAFKA_VTYPE_KEY;
    record[3].u.mem = {const_cast<char*>(key.data()), key.size()};
    record[4].vtype = RD_KAFKA_VTYPE_VALUE;
    record[4].u.mem = {const_cast<char*>(value.data()), value.size()};
    const test::Owned<rd_kafka_error_t, &rd_kafka_error_destroy> refused{
        rd_kafka_produceva(handle(), record.data(), record.size())};
    if (refused) throw std::runtime_error{rd_kafka_error_string(refused.get())};
    rd_kafka_poll(handle(), 0);
  }

  /// Waits until all is in the log; when the last delivery report came.
  Clock::time_point flush() {
    require(rd_kafka_flush(handle(), flush_deadline_ms), "write");
    require(failure_, "write");
    return delivered_;
  }

 private:
  static void delivered(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
    auto& producer = *static_cast<Producer*>(self);
    producer.delivered_ = Clock::now();
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) producer.failure_ = message->err;
  }

  Handle handle_;
  Clock::time_point delivered_;
  rd_kafka_resp_err_t failure_ = RD_KAFKA_RESP_ERR_NO_ERROR;
};

/// bench.public.TABLE for each, with one partition; those that are there already stay.
void create_topics(rd_kafka_t* handle, const std::vector<std::string>& tables) {
  std::array<char, 512> reason{};
  std::vector<NewTopic> topics;
  std::vector<rd_kafka_NewTopic_t*> list;
  for (const auto& table : tables) {
    topics.emplace_back(rd_kafka_NewTopic_new(("bench.public." + table).c_str(), 1, 1,
                                              reason.data(), reason.size()));
    list.push_back(topics.back().get());
  }
  const Options options{rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS)};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), deadline_ms, reason.data(),
                                            reason.size());
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), deadline_ms, reason.data(),
                                              reason.size());
  const Queue queue{rd_kafka_queue_new(handle)};
  rd_kafka_CreateTopics(handle, list.data(), list.size(), options.get(), queue.get());
  const Event event{rd_kafka_queue_poll(queue.get(), deadline_ms)};
  if (!event) throw std::runtime_error{"create topics: no answer"};
  require(rd_kafka_event_error(event.get()), "create topics");
  std::size_t count = 0;
  const auto** const results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto err = rd_kafka_topic_result_error(results[i]);
    if (err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) require(err, "create topics");
  }
}

std::string create_table(const std::string& name) {
  return "CREATE TABLE IF NOT EXISTS public." + name +
         " (id bigint PRIMARY KEY, version bigint NOT NULL, note text, synced_at timestamptz);";
}

void time_records(const std::string& brokers, const std::string& target_url,
                  const std::string& table, int count) {
  Session target{target_url};
  Producer producer{brokers, "0"};
  constexpr int ids = 100;
  std::int64_t version = fresh_version();
  for (int i = -warm_up; i < count; ++i) {
    const int id = (i + warm_up) % ids;
    producer.write(table, id, ++version);
    const auto logged = producer.flush();
    const auto arrived =
        arrival(target, "SELECT FROM public." + table + " WHERE id = " + std::to_string(id) +
                            " AND version = " + std::to_string(version));
    if (i >= 0) print_sample(arrived - logged);
    random_pause();
  }
}

/// Looks out for one change after the other in partition 0 of a topic, on a thread of its own.
class Watcher {
 public:
  Watcher(const std::string& brokers, const std::string& topic, const std::string& isolation)
      : handle_{connect(RD_KAFKA_CONSUMER, brokers,
                        {{"group.id", "bench"},
                         {"isolation.level", isolation},
                         {"fetch.wait.max.ms", "100"},  // as lockstepd has it
                         {"enable.auto.commit", "false"},
                         {"enable.partition.eof", "true"}})} {
    const Partitions list{rd_kafka_topic_partition_list_new(1)};
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), 0)->offset = RD_KAFKA_OFFSET_END;
    require(rd_kafka_assign(handle_.get(), list.get()), "assign " + topic);
    await_end(topic);
    thread_ = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
  }

  /// When the how-manieth change since the start was here.
  Clock::time_point arrival(std::size_t number) const {
    const auto begun = Clock::now();
    while (seen_ <= number) {
      if (Clock::now() - begun > arrival_deadline) throw std::runtime_error{"no record"};
      std::this_thread::sleep_for(poll_pause);
    }
    return times_[number];
  }

 private:
  static constexpr std::size_t most = 100'000;

  /// The first end of partition says that a fetch was answered: the next record is seen.
  void await_end(const std::string& topic) {
    const auto begun = Clock::now();
    while (Clock::now() - begun < arrival_deadline) {
      const Message message{rd_kafka_consumer_poll(handle_.get(), 100)};
      if (message && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) return;
    }
    throw std::runtime_error{topic + ": no answer"};
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested() && seen_ < most) {
      const Message message{rd_kafka_consumer_poll(handle_.get(), 100)};
      if (!message || message->err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
      times_[seen_] = Clock::now();
      ++seen_;
    }
  }

  Handle handle_;
  std::vector<Clock::time_point> times_ = std::vector<Clock::time_point>(most);
  std::atomic<std::size_t> seen_{0};  // of times_, those before it are written
  std::jthread thread_;               // last: joined before what it uses goes
};

/// Two samples a line: until a consumer that reads committed records has it, and until one that
/// reads all of them has. The difference is what the connector's Kafka transaction takes.
void time_visibility(const std::string& source_url, const std::string& brokers,
                     const std::string& topic, int count) {
  const Watcher committed{brokers, topic, "read_committed"};
  const Watcher uncommitted{brokers, topic, "read_uncommitted"};
  Orders orders{source_url};
  for (int i = -warm_up; i < count; ++i) {
    const auto number = static_cast<std::size_t>(i + warm_up);
    const auto change = orders.next();
    const auto first = uncommitted.arrival(number);
    const auto second = committed.arrival(number);
    const auto ms = [&](Clock::time_point at) {
      return std::chrono::duration<double, std::milli>(at - change.committed).count();
    };
    if (i >= 0) {
      std::cout << std::fixed << std::setprecision(3) << ms(second) << ' ' << ms(first)
                << std::endl;
    }
    random_pause();
  }
}

// --- many topics ---------------------------------------------------------------------------------

/// t0, t1, …, or from another number on.
std::vector<std::string> table_names(int count, int first = 0) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("t" + std::to_string(first + i));
  return names;
}

/// The tables of the target and their topics, some at a time: a transaction's locks and a request's
/// time are bounded.
void make_tables(const std::string& brokers, const std::string& target_url,
                 const std::vector<std::string>& names) {
  constexpr std::size_t at_a_time = 200;
  Session target{target_url};
  target.exec("SET client_min_messages = warning");
  const Producer producer{brokers, "5"};
  for (std::size_t begin = 0; begin < names.size(); begin += at_a_time) {
    const auto end = std::min(names.size(), begin + at_a_time);
    const std::vector<std::string> some(names.begin() + static_cast<std::ptrdiff_t>(begin),
                                        names.begin() + static_cast<std::ptrdiff_t>(end));
    std::string sql;
    for (const auto& name : some) sql += create_table(name);
    target.exec(sql);
    create_topics(producer.handle(), some);
  }
}

/// `rate`: of records a second; 0: as fast as it goes.
void write_records(const std::string& brokers, const std::vector<std::string>& names, int each,
                   int rate) {
  Producer producer{brokers, "5"};
  std::int64_t version = fresh_version();
  const auto begun = Clock::now();
  std::int64_t written = 0;
  for (int id = 0; id < each; ++id) {
    for (const auto& name : names) {
      producer.write(name, id, ++version);
      if (rate == 0) continue;
      std::this_thread::sleep_until(begun + seconds{1} * ++written / rate);
    }
  }
  producer.flush();
}

int run(int argc, char** argv) {
  CLI::App app{"Makes changes for the benches and times their arrival."};
  app.require_subcommand(1);
  std::string source, target, brokers, topic, table;
  int count = 0;
  int each = 0;
  int rate = 0;
  int first = 0;
  const auto command = [&](const char* name, const char* what) {
    auto* const sub = app.add_subcommand(name, what);
    sub->add_option("--count", count)->required()->check(CLI::Range(1, 100'000));
    return sub;
  };
  auto* const rows = command("rows", "source's commit to target's row");
  auto* const records = command("records", "Kafka's log to target's row");
  auto* const visible = command("visible", "source's commit to Kafka: committed, uncommitted");
  auto* const tables = command("tables", "make COUNT tables and their topics");
  auto* const fill = command("fill", "write EACH records to COUNT topics");
  for (auto* const sub : {rows, visible}) sub->add_option("--source", source)->required();
  for (auto* const sub : {rows, records, tables}) sub->add_option("--target", target)->required();
  for (auto* const sub : {records, visible, tables, fill}) {
    sub->add_option("--brokers", brokers)->required();
  }
  records->add_option("--table", table)->required();
  visible->add_option("--topic", topic)->required();
  fill->add_option("--each", each)->required();
  fill->add_option("--first", first, "number of the first topic");
  fill->add_option("--rate", rate, "records a second; 0: as fast as it goes");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  try {
    if (*rows) time_rows(source, target, count);
    if (*records) time_records(brokers, target, table, count);
    if (*visible) time_visibility(source, brokers, topic, count);
    if (*tables) make_tables(brokers, target, table_names(count));
    if (*fill) write_records(brokers, table_names(count, first), each, rate);
  } catch (const std::exception& error) {
    std::cerr << "bench_client: " << error.what() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  return lockstep::bench::run(argc, argv);
}
