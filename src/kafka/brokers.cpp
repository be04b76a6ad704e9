#include "brokers.hpp"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "lockstep/kafka/properties.hpp"

namespace lockstep::kafka {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

void log_line(const rd_kafka_t*, int level, const char* facility, const char* text) {
  // What matters of it reaches us as an error event, once; librdkafka's own lines come every try.
  spdlog::debug("librdkafka {} {}: {}", level, facility, text);
}

/// librdkafka before 2.2 stops fetching for a second whenever more than queued.max.messages.kbytes
/// wait to be polled (its issue 2879; from then on fetch.queue.backoff.ms), and unpacking messages
/// is quicker than decoding them: on a busy machine its threads must not be ahead of ours.
rd_kafka_resp_err_t yield_to_polling(rd_kafka_t*, rd_kafka_thread_type_t type, const char*, void*) {
  constexpr int niceness = 10;
  static std::atomic_flag said;
  if (type == RD_KAFKA_THREAD_BROKER &&
      setpriority(PRIO_PROCESS, 0, niceness) != 0 &&  // of this thread
      !said.test_and_set()) {
    const auto why = std::error_code{errno, std::generic_category()};
    spdlog::warn(
        "librdkafka's threads can't be given less priority, a backlog may take several times as "
        "long: setpriority: {} (errno={}); systemd's SystemCallFilter=~@resources does this",
        why.message(), why.value());
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

bool is_owned(std::string_view name) {
  return std::any_of(owned_properties.begin(), owned_properties.end(),
                     [&](const auto& owned) { return owned.name == name; });
}

}  // namespace

int ms(milliseconds duration) {
  return static_cast<int>(std::max<std::int64_t>(0, duration.count()));
}

milliseconds time_until(std::chrono::steady_clock::time_point deadline) {
  return std::max(milliseconds{0}, std::chrono::duration_cast<milliseconds>(
                                       deadline - std::chrono::steady_clock::now()));
}

void check(std::string_view what, rd_kafka_resp_err_t err) {
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  spdlog::warn("kafka {} failed: {}", what, rd_kafka_err2str(err));
}

Properties consumer_defaults(const ConsumerConfig& config) {
  constexpr std::size_t MiB = 1024 * 1024;
  // Nothing is fetched while queue_bytes wait to be polled, but what comes then is unpacked whole,
  // and changes pack well (1:20 and more, each carries its schema): up to this, packed, from each
  // broker. librdkafka wants it to be at least message.max.bytes.
  const auto message = config.properties.find("message.max.bytes");
  const auto fetch_bytes = std::max<std::size_t>(
      MiB,
      message == config.properties.end() ? 0 : std::strtoul(message->second.c_str(), nullptr, 10));
  Properties defaults{
      {"group.id", config.group},
      {"group.instance.id", config.group + "@" + host_name()},
      {"session.timeout.ms", "10000"},  // a killed daemon's partitions are another's after this
      {"heartbeat.interval.ms", "2000"},
      {"queued.max.messages.kbytes",
       std::to_string(std::max<std::size_t>(1, config.queue_bytes / 1024))},
      {"queued.min.messages", "10000000"},  // the bytes decide, not the messages
      {"fetch.max.bytes", std::to_string(fetch_bytes)},
      {"check.crcs", "true"},  // librdkafka itself takes a damaged batch for one that is cut short
      // A fetch of quiet partitions only must not hold up the others' first one for 500 ms.
      {"fetch.wait.max.ms", "100"},
      {"allow.auto.create.topics", "false"},
      {"topic.metadata.refresh.interval.ms", "5000"},  // a topic made later is seen within this
  };
  // How long fetching rests once queue_bytes wait to be polled: a second, unless told.
  if (rd_kafka_version() >= 0x02020000) defaults["fetch.queue.backoff.ms"] = "20";
  return defaults;
}

Result<Conf, KafkaError> make_conf(rd_kafka_type_t type, const std::string& brokers,
                                   Properties defaults, const Properties& users) {
  Properties properties = std::move(defaults);
  properties["bootstrap.servers"] = brokers;
  properties["client.id"] = "lockstep";
  properties["reconnect.backoff.max.ms"] = "2000";
  properties["socket.keepalive.enable"] = "true";
  for (const auto& [name, value] : users) {
    if (!is_owned(name)) properties[name] = value;
  }
  for (const auto& owned : owned_properties) {
    if (owned.value.empty() || (owned.of_consumers && type != RD_KAFKA_CONSUMER)) continue;
    properties[std::string{owned.name}] = owned.value;
  }
  // Static membership is left by an empty name, which librdkafka does not know.
  if (properties["group.instance.id"].empty()) properties.erase("group.instance.id");

  Conf conf{rd_kafka_conf_new()};
  std::array<char, 512> reason{};
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), reason.data(), reason.size()) !=
        RD_KAFKA_CONF_OK) {
      return KafkaError{"kafka.properties: " + std::string{reason.data()}};
    }
  }
  rd_kafka_conf_set_log_cb(conf.get(), log_line);
  if (type == RD_KAFKA_CONSUMER) {
    rd_kafka_conf_interceptor_add_on_new(
        conf.get(), "lockstep",
        [](rd_kafka_t* handle, const rd_kafka_conf_t*, void*, char*, size_t) {
          return rd_kafka_interceptor_add_on_thread_start(handle, "lockstep", yield_to_polling,
                                                          nullptr);
        },
        nullptr);
  }
  return conf;
}

Result<Handle, KafkaError> make_handle(rd_kafka_type_t type, Conf conf) {
  std::array<char, 512> reason{};
  Handle handle{rd_kafka_new(type, conf.get(), reason.data(), reason.size())};
  if (!handle) return KafkaError{"kafka: " + std::string{reason.data()}};
  static_cast<void>(conf.release());  // rd_kafka_new() owns it when it succeeds
  return handle;
}

Result<Metadata, KafkaError> fetch_metadata(rd_kafka_t* handle, rd_kafka_topic_t* only,
                                            milliseconds deadline) {
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto err =
      rd_kafka_metadata(handle, only == nullptr ? 1 : 0, only, &metadata, ms(deadline));
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError{rd_kafka_err2str(err)};
  return Metadata{metadata};
}

void BrokerHealth::note_error(rd_kafka_resp_err_t err, const std::string& text) {
  switch (err) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
      note_lost();
      break;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
      // One connection. All may be gone without librdkafka saying so: after a broker's crash it
      // does not always come to the error above.
      if (state_ == State::answering) state_ = State::doubtful;
      spdlog::debug("kafka {}: {}", rd_kafka_err2name(err), text);
      break;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
      note_refusal("check kafka.properties", text);
      break;
    case RD_KAFKA_RESP_ERR__FATAL:  // Consumer::fatal_error() tells
      break;
    default:
      note_other(std::string{"kafka "} + rd_kafka_err2name(err), text);
  }
}

void BrokerHealth::note_refusal(const std::string& advice, const std::string& text) {
  if (last_refusal_ == text) return;
  spdlog::error("kafka refuses us, {}: {}", advice, text);
  last_refusal_ = text;
}

void BrokerHealth::note_other(const std::string& what, const std::string& text) {
  const auto times = others_.note(what, text, Clock::now());
  if (times == 1) spdlog::warn("{}: {}", what, text);
  if (times > 1) spdlog::warn("{} times={}: {}", what, times, text);
}

void BrokerHealth::probe_if_due(rd_kafka_t* handle) {
  constexpr milliseconds patience{500};
  if (state_ == State::answering || Clock::now() < next_probe_) return;
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto err = rd_kafka_metadata(handle, 0, nullptr, &metadata, ms(patience));
  next_probe_ = Clock::now() + std::chrono::seconds{1};
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    note_lost();
    return;
  }
  rd_kafka_metadata_destroy(metadata);
  note_alive();
}

void BrokerHealth::note_lost() {
  if (state_ == State::lost) return;
  spdlog::warn("kafka unreachable brokers={}: trying on until it answers", brokers_);
  state_ = State::lost;
  lost_since_ = next_probe_ = Clock::now();
}

void BrokerHealth::note_alive() {
  if (state_ == State::lost) {
    const auto lost = std::chrono::duration_cast<milliseconds>(Clock::now() - lost_since_);
    spdlog::info("kafka is back brokers={} after_ms={}", brokers_, lost.count());
    last_refusal_.clear();
  }
  state_ = State::answering;
  alive_at_ = Clock::now();
}

void BrokerHealth::doubt_if_quiet() {
  constexpr std::chrono::seconds quiet{3};
  if (state_ == State::answering && Clock::now() - alive_at_ >= quiet) state_ = State::doubtful;
}

}  // namespace lockstep::kafka
