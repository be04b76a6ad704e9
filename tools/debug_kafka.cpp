// Shows what Kafka and Kafka Connect have: topics, offsets, the pipelines' groups, connectors.

#include <curl/curl.h>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kafka.hpp"
#include "lockstep/kafka/newest.hpp"
#include "lockstep/model/destroy.hpp"
#include "lockstep/model/printable.hpp"
#include "program.hpp"
#include "recipe.hpp"
#include "record_text.hpp"
#include "terminal.hpp"
#include "text_table.hpp"

namespace lockstep::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Newest {
  std::optional<std::int64_t> time_ms;
  std::int64_t offset = 0;
  std::string json;   ///< the record
  std::string key;    ///< in one line
  std::string value;  ///< in one line
};

struct Topic {
  kafka::Stretches partitions;
  std::optional<Newest> newest;
};

struct Group {
  std::string name;
  Positions committed;
  kafka::Stretches partitions;  ///< of the pipeline's topics
};

/// What the brokers say. Throws a Failure.
class Brokers {
 public:
  explicit Brokers(const Program& program) : program_{program} {}

  std::map<std::string, Topic> topics(bool all);
  std::vector<Group> groups(const std::map<std::string, Topic>& topics);
  Group group(const kafka::ConsumerConfig& consumer, const std::map<std::string, Topic>& topics);

 private:
  void peek(std::map<std::string, Topic>& topics);

  const Program& program_;
  std::unique_ptr<kafka::Reader> reader_ = open_reader(program_);
};

std::map<std::string, Topic> Brokers::topics(bool all) {
  auto found = expect(program_, reader_->topics(kafka_patience));
  std::erase_if(found, [&](const auto& one) { return !all && one.first.starts_with("__"); });
  std::map<std::string, Topic> topics;
  for (const auto& [name, partitions] : found) topics[name];
  for (const auto& [tp, stretch] : expect(program_, reader_->bounds(found, kafka_patience))) {
    topics[tp.topic].partitions[tp] = stretch;
  }
  peek(topics);
  return topics;
}

std::string one_line_of(std::optional<std::string_view> bytes) {
  if (!bytes) return "null";
  return daemon::json_text(*bytes, false, false).value_or(std::string{*bytes});
}

void Brokers::peek(std::map<std::string, Topic>& topics) {
  std::map<std::string, int> counts;
  for (const auto& [name, topic] : topics) counts[name] = static_cast<int>(topic.partitions.size());
  const auto& kafka = program_.config().kafka;
  const kafka::ConsumerConfig consumer{.brokers = kafka.brokers,
                                       .group = "lockstep-tools",
                                       .topics = {},
                                       .properties = kafka.properties};
  expect(
      program_,
      kafka::read_newest(consumer, counts, 4 * kafka_patience, [&](const kafka::Message& message) {
        auto& newest = topics[std::string{message.topic()}].newest;
        const auto time = message.time_ms();
        if (!newest || newest->time_ms <= time) {
          newest = Newest{time, message.offset().value, daemon::record_json(message, false),
                          one_line_of(message.key()), one_line_of(message.value())};
        }
        return true;
      }));
}

std::vector<Group> Brokers::groups(const std::map<std::string, Topic>& topics) {
  std::vector<Group> groups;
  for (const auto& pipeline : program_.config().pipelines) {
    for (const auto& name : config::running_names(pipeline)) {
      groups.push_back(group(daemon::consumer_config(program_.config(), pipeline, name), topics));
    }
  }
  return groups;
}

Group Brokers::group(const kafka::ConsumerConfig& consumer,
                     const std::map<std::string, Topic>& topics) {
  Group group{consumer.group, {}, {}};
  std::vector<TopicPartition> partitions;
  for (const auto& [name, count] : expect(program_, kafka::find_topics(consumer, kafka_patience))) {
    const auto topic = topics.find(name);
    if (topic == topics.end()) continue;  // not made yet
    group.partitions.insert(topic->second.partitions.begin(), topic->second.partitions.end());
  }
  for (const auto& [tp, stretch] : group.partitions) partitions.push_back(tp);
  if (!partitions.empty()) {
    group.committed = expect(program_, reader_->committed(group.name, partitions, kafka_patience));
  }
  return group;
}

/// How many offsets the group has before it; nothing committed: all.
std::int64_t lag_of(const Group& group, const TopicPartition& tp, const kafka::Stretch& stretch) {
  const auto at = group.committed.find(tp);
  return stretch.end - (at == group.committed.end() ? stretch.begin : at->second.value);
}

void print(const std::map<std::string, Topic>& topics) {
  TextTable table{{{"topic"}, {"partition", true}, {"first", true}, {"end", true}}};
  for (const auto& [name, topic] : topics) {
    const bool one = topic.partitions.size() == 1;
    std::size_t empty = 0;
    for (const auto& [tp, stretch] : topic.partitions) {
      if (!one && stretch.end == 0) {
        ++empty;  // of 50, most are
        continue;
      }
      table.add({name, std::to_string(tp.partition), std::to_string(stretch.begin),
                 std::to_string(stretch.end)});
    }
    if (empty > 0) table.add({name, std::to_string(empty) + " empty", "0", "0"});
  }
  table.print(std::cout);
  TextTable newest{{{"newest of topic"}, {"offset", true}, {"time"}, {"key"}, {"value"}}, 60};
  for (const auto& [name, topic] : topics) {
    if (!topic.newest) continue;
    const auto& record = *topic.newest;
    newest.add({name, std::to_string(record.offset),
                record.time_ms ? daemon::time_text(*record.time_ms) : "-", record.key,
                record.value});
  }
  std::cout << '\n';
  newest.print(std::cout);
}

void print(const std::vector<Group>& groups) {
  TextTable table{
      {{"group"}, {"topic"}, {"partition", true}, {"offset", true}, {"end", true}, {"lag", true}}};
  for (const auto& group : groups) {
    for (const auto& [tp, stretch] : group.partitions) {
      const auto at = group.committed.find(tp);
      table.add({group.name, tp.topic, std::to_string(tp.partition),
                 at == group.committed.end() ? "-" : std::to_string(at->second.value),
                 std::to_string(stretch.end), std::to_string(lag_of(group, tp, stretch))});
    }
    if (group.partitions.empty())
      table.add({group.name, "(none of its topics is there)", "", "", "", ""});
  }
  table.print(std::cout);
}

Json to_json(const std::map<std::string, Topic>& topics) {
  auto list = Json::array();
  for (const auto& [name, topic] : topics) {
    auto partitions = Json::array();
    for (const auto& [tp, stretch] : topic.partitions) {
      partitions.push_back(
          {{"partition", tp.partition}, {"first", stretch.begin}, {"end", stretch.end}});
    }
    list.push_back({{"topic", name},
                    {"partitions", partitions},
                    {"newest", topic.newest ? Json::parse(topic.newest->json) : Json{}}});
  }
  return list;
}

Json to_json(const std::vector<Group>& groups) {
  auto list = Json::array();
  for (const auto& group : groups) {
    auto partitions = Json::array();
    std::int64_t lag = 0;
    for (const auto& [tp, stretch] : group.partitions) {
      const auto at = group.committed.find(tp);
      partitions.push_back(
          {{"topic", tp.topic},
           {"partition", tp.partition},
           {"offset", at == group.committed.end() ? Json{} : Json(at->second.value)},
           {"end", stretch.end},
           {"lag", lag_of(group, tp, stretch)}});
      lag += lag_of(group, tp, stretch);
    }
    list.push_back({{"group", group.name}, {"lag", lag}, {"partitions", partitions}});
  }
  return list;
}

/// The body that Connect answers with. Throws a Failure.
std::string get(const std::string& url) {
  constexpr long connect_seconds = 5;
  constexpr long seconds = 10;
  const auto advice = "; does it run, and is it where --connect, CONNECT_URL or CONNECT_PORT says?";
  const std::unique_ptr<CURL, lockstep::Destroy<&curl_easy_cleanup>> handle{curl_easy_init()};
  if (!handle) throw Failure{"libcurl can't be started"};
  std::string body;
  const auto append = +[](char* bytes, std::size_t size, std::size_t count, void* to) {
    static_cast<std::string*>(to)->append(bytes, size * count);
    return size * count;
  };
  curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle.get(), CURLOPT_NOPROXY, "*");  // it is near, whatever http_proxy says
  curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle.get(), CURLOPT_CONNECTTIMEOUT, connect_seconds);
  curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT, seconds);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &body);
  if (const auto code = curl_easy_perform(handle.get()); code != CURLE_OK) {
    throw Failure{"connect " + url + ": " + curl_easy_strerror(code) + advice};
  }
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200)
    throw Failure{"connect " + url + ": HTTP status " + std::to_string(status) + advice};
  return body;
}

/// The connectors, each as Connect tells it: name, connector, tasks. Throws a Failure.
Json connectors(const std::string& url) {
  const auto answer = Json::parse(get(url + "/connectors?expand=status"), nullptr, false);
  auto list = Json::array();
  if (!answer.is_object()) throw Failure{"connect " + url + ": this is no answer of Kafka Connect"};
  for (const auto& [name, connector] : answer.items()) {
    if (connector.contains("status")) list.push_back(connector["status"]);
  }
  return list;
}

std::string first_line(const std::string& text) {
  return printable(text.substr(0, text.find('\n')));
}

/// True if all of them run, or are paused or stopped as somebody wanted.
bool all_well(const Json& connectors) {
  for (const auto& connector : connectors) {
    if (connector.at("connector").value("state", "") == "FAILED") return false;
    for (const auto& task : connector.at("tasks")) {
      if (task.value("state", "") == "FAILED") return false;
    }
  }
  return true;
}

void print_connectors(const Json& connectors) {
  TextTable table{{{"connector"}, {"state"}, {"task", true}, {"state"}, {"worker"}}};
  std::string causes;
  for (const auto& connector : connectors) {
    const auto name = connector.value("name", "");
    const auto& own = connector.at("connector");
    if (own.contains("trace")) causes += name + ": " + first_line(own.value("trace", "")) + "\n";
    if (connector.at("tasks").empty()) {
      table.add({name, own.value("state", ""), "-", "no task", own.value("worker_id", "")});
    }
    for (const auto& task : connector.at("tasks")) {
      const auto id = std::to_string(task.value("id", 0));
      table.add(
          {name, own.value("state", ""), id, task.value("state", ""), task.value("worker_id", "")});
      if (task.contains("trace")) {
        causes += name + ", task " + id + ": " + first_line(task.value("trace", "")) + "\n";
      }
    }
  }
  table.print(std::cout);
  std::cout << causes;
}

int run(int argc, char** argv) {
  std::string connect_option;
  bool all = false;
  Program program{
      "Shows what Kafka and Kafka Connect have: each topic's offsets and newest message, how far "
      "the\n"
      "pipelines' consumer groups are, and the connectors' states. It only reads. Exits with 1 if\n"
      "either does not answer, or a connector has failed.",
      "debug_kafka\n"
      "debug_kafka --json | jq '.groups[] | {group, lag}'\n"
      "debug_kafka --connect http://connect-1:8083"};
  program.options()
      .add_option("--connect", connect_option,
                  "Kafka Connect's REST API (default: CONNECT_URL, or localhost at CONNECT_PORT, "
                  "8083)")
      ->type_name("URL");
  program.options().add_flag("--all", all, "with Kafka's own topics, whose names begin with __");
  program.with_json("print one JSON object");
  program.with_config();
  return program.run(argc, argv, [&] {
    bool well = true;
    const auto failed = [&](const std::exception& error) {
      std::cout.flush();
      std::cerr << error_mark() << one_line(error) << '\n';
      well = false;
    };
    const auto& brokers = program.config().kafka.brokers;
    const auto url =
        !connect_option.empty()
            ? connect_option
            : program.variable("CONNECT_URL",
                               "http://localhost:" + program.variable("CONNECT_PORT", "8083"));
    Json document{{"brokers", brokers}, {"topics", nullptr}, {"groups", nullptr}};
    try {
      Brokers asked{program};
      const auto topics = asked.topics(all);
      const auto groups = asked.groups(topics);
      if (program.json()) {
        document["topics"] = to_json(topics);
        document["groups"] = to_json(groups);
      } else {
        std::cout << bold("kafka " + brokers) << "\n\n";
        print(topics);
        std::cout << '\n';
        print(groups);
        std::cout << '\n';
      }
    } catch (const Failure& failure) {
      failed(failure);
    }
    document["connect"] = {{"url", url}, {"connectors", nullptr}};
    try {
      const auto list = connectors(url);
      well = all_well(list) && well;
      document["connect"]["connectors"] = list;
      if (!program.json()) {
        std::cout << bold("connect " + url) << "\n\n";
        print_connectors(list);
      }
    } catch (const Failure& failure) {
      failed(failure);
    }
    if (program.json()) std::cout << document.dump(2) << '\n';
    return well;
  });
}

}  // namespace
}  // namespace lockstep::tools

int main(int argc, char** argv) {
  return lockstep::tools::run(argc, argv);
}
