#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "handles.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/kafka/error.hpp"
#include "lockstep/model/result.hpp"
#include "repeats.hpp"

/// What every client of the brokers has: properties, a handle, and a mind of its own about
/// whether anybody answers.
namespace lockstep::kafka {

using Properties = std::map<std::string, std::string>;

int ms(std::chrono::milliseconds duration);  ///< for librdkafka: never negative, its "for ever"
std::chrono::milliseconds time_until(std::chrono::steady_clock::time_point deadline);  ///< or 0

/// Warns of an error that the next try makes good.
void check(std::string_view what, rd_kafka_resp_err_t err);

/// What a member of a consumer group has before the users' properties.
Properties consumer_defaults(const ConsumerConfig& config);

/// `defaults` of this kind of client, over them what the users set, over all the owned properties.
/// Errors: the property and librdkafka's reason.
Result<Conf, KafkaError> make_conf(rd_kafka_type_t type, const std::string& brokers,
                                   Properties defaults, const Properties& users);

/// Errors: properties that don't go together. Does not wait for brokers.
Result<Handle, KafkaError> make_handle(rd_kafka_type_t type, Conf conf);

/// Of the one topic, or of all (nullptr). Errors: no answer within `deadline`.
Result<Metadata, KafkaError> fetch_metadata(rd_kafka_t* handle, rd_kafka_topic_t* only,
                                            std::chrono::milliseconds deadline);

/// Whether the brokers answer one client. The loss and the return are logged, once each.
/// Threads: the one that polls the client; note_error() is for its error callback.
class BrokerHealth {
 public:
  explicit BrokerHealth(std::string brokers) : brokers_{std::move(brokers)} {}

  /// False from the moment no broker answers until one does again.
  bool reachable() const { return state_ != State::lost; }

  void note_error(rd_kafka_resp_err_t err, const std::string& text);
  void note_alive();  ///< a broker has answered
  /// What keeps us from the brokers, or from what we ask of them, and is for users to settle.
  void note_refusal(const std::string& advice, const std::string& text);
  /// An error that has no meaning of its own: said once, and again every minute that it goes on.
  void note_other(const std::string& what, const std::string& text);

  /// Doubt, if no broker has shown life for a few seconds.
  void doubt_if_quiet();
  /// Asks the brokers for a sign of life while there is doubt: every second, for up to 500 ms.
  void probe_if_due(rd_kafka_t* handle);

 private:
  enum class State {
    answering,
    doubtful,  ///< a connection has failed since we last heard of a broker
    lost,      ///< none answers
  };
  void note_lost();

  const std::string brokers_;
  State state_ = State::answering;
  std::chrono::steady_clock::time_point alive_at_;
  std::chrono::steady_clock::time_point lost_since_;
  std::chrono::steady_clock::time_point next_probe_;
  std::string last_refusal_;
  Repeats others_;
};

}  // namespace lockstep::kafka
