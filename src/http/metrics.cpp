#include "metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <limits>
#include <sstream>

namespace lockstep::http {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void counter(const std::string& name, const std::string& help, Labels labels, double value) {
    auto& metric = add(name, help, MetricType::Counter, std::move(labels));
    metric.counter.value = value;
  }
  void gauge(const std::string& name, const std::string& help, Labels labels, double value) {
    auto& metric = add(name, help, MetricType::Gauge, std::move(labels));
    metric.gauge.value = value;
  }
  template <std::size_t N>
  void histogram(const std::string& name, const std::string& help, Labels labels,
                 const Histogram<N>& of) {
    auto& histogram = add(name, help, MetricType::Histogram, std::move(labels)).histogram;
    histogram.sample_count = of.count();
    histogram.sample_sum = of.sum();
    std::uint64_t below = 0;
    for (std::size_t i = 0; i <= N; ++i) {
      below += of.counts()[i];
      histogram.bucket.push_back(
          {below, i < N ? of.bounds()[i] : std::numeric_limits<double>::infinity()});
    }
  }

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer{}.Serialize(out, families_);
    return out.str();
  }

 private:
  ClientMetric& add(const std::string& name, const std::string& help, MetricType type,
                    Labels labels) {
    MetricFamily* family = nullptr;
    for (auto& known : families_) {
      if (known.name == name) family = &known;
    }
    if (family == nullptr) family = &families_.emplace_back(MetricFamily{name, help, type, {}});
    family->metric.emplace_back().label = std::move(labels);
    return family->metric.back();
  }

  std::vector<MetricFamily> families_;
};

void add_table(Families& families, const std::string& pipeline, const pipeline::LaneStatus& lane) {
  const Labels labels{{"pipeline", pipeline}, {"topic", lane.topic}};
  for (const auto state :
       {Lane::State::reading, Lane::State::waiting, Lane::State::paused, Lane::State::stopped}) {
    auto with_state = labels;
    with_state.push_back({"state", std::string{pipeline::name(state)}});
    families.gauge("lockstep_table_state", "1 for the state that the table is in, else 0.",
                   with_state, lane.state == state ? 1 : 0);
  }
  families.counter("lockstep_table_changes_applied_total", "Changes of the table, committed.",
                   labels, static_cast<double>(lane.changes));
  families.gauge("lockstep_table_held_bytes", "Memory of the table's batches.", labels,
                 static_cast<double>(lane.bytes));
  families.gauge("lockstep_table_waiting_batches", "Full batches that wait for a connection.",
                 labels, static_cast<double>(lane.batches));
  families.histogram("lockstep_source_to_target_seconds",
                     "From the source's commit of a change to the target's.", labels, lane.delay);
  for (const auto& partition : lane.partitions) {
    auto of_partition = labels;
    of_partition.push_back({"partition", std::to_string(partition.partition)});
    families.gauge("lockstep_lag_messages", "Messages in the partition that are not applied yet.",
                   of_partition, static_cast<double>(partition.lag));
    if (partition.applied) {
      families.gauge("lockstep_applied_offset", "The next offset to be applied.", of_partition,
                     static_cast<double>(partition.applied->value));
    }
  }
}

void add_stages(Families& families, const std::string& pipeline, const pipeline::Stages& spent) {
  const std::array<std::pair<const char*, double>, 6> stages{{{"fetch", spent.fetch},
                                                              {"decode", spent.decode},
                                                              {"wait", spent.wait},
                                                              {"lock", spent.lock},
                                                              {"sql", spent.sql},
                                                              {"commit", spent.commit}}};
  for (const auto& [stage, seconds] : stages) {
    families.counter("lockstep_stage_seconds_total",
                     "Time spent in a stage, of all threads that are in it.",
                     {{"pipeline", pipeline}, {"stage", stage}}, seconds);
  }
}

void add_destination(Families& families, const std::string& pipeline,
                     const DestinationStatus& destination) {
  const Labels labels{{"pipeline", pipeline}};
  for (std::size_t i = 0; i < call_outcomes.size(); ++i) {
    families.counter("lockstep_webhook_calls_total", "Calls that have ended.",
                     {{"pipeline", pipeline}, {"outcome", std::string{call_outcomes[i]}}},
                     static_cast<double>(destination.calls[i]));
  }
  families.counter("lockstep_webhook_retries_total", "Calls that were not their change's first.",
                   labels, static_cast<double>(destination.retries));
  families.histogram("lockstep_webhook_call_seconds", "From the beginning of a call to its end.",
                     labels, destination.duration);
  families.gauge("lockstep_webhook_calls_in_flight", "Calls that are under way.", labels,
                 static_cast<double>(destination.in_flight));
  families.gauge("lockstep_webhook_calls_waiting",
                 "Changes that wait for their call, or for the next try of it.", labels,
                 static_cast<double>(destination.waiting));
  for (std::size_t i = 0; i < breaker_states.size(); ++i) {
    families.gauge("lockstep_webhook_breaker_state", "1 for the state that it is in, else 0.",
                   {{"pipeline", pipeline}, {"state", std::string{breaker_states[i]}}},
                   static_cast<std::size_t>(destination.breaker) == i ? 1 : 0);
  }
}

void add_pipeline(Families& families, const View& view) {
  const Labels labels{{"pipeline", view.name}};
  families.gauge("lockstep_pipeline_up", "1 while the pipeline runs and answers.", labels,
                 view.running && view.status ? 1 : 0);
  if (!view.status) return;
  const auto& status = *view.status;
  const auto count = [&](const std::string& name, const std::string& help, std::uint64_t value) {
    families.counter(name, help, labels, static_cast<double>(value));
  };
  const auto show = [&](const std::string& name, const std::string& help, double value) {
    families.gauge(name, help, labels, value);
  };
  const auto& counters = status.counters;
  count("lockstep_messages_consumed_total", "Messages applied or skipped.", counters.records);
  count("lockstep_changes_applied_total", "Changes committed on the target.", counters.changes);
  count("lockstep_batches_applied_total", "Transactions committed on the target.",
        counters.batches);
  count("lockstep_batch_retries_total", "Batches tried again since their table was busy.",
        counters.retries);
  count("lockstep_messages_already_read_total", "Messages dropped that had been read before.",
        counters.already_read);
  count("lockstep_lossy_values_total", "Values that the connector has not sent as they were.",
        counters.lossy_values);
  count("lockstep_dead_letters_total", "Messages passed by for an error.", counters.dead_letters);
  count("lockstep_parked_total", "Messages passed by behind a dead letter of their key.",
        counters.parked);
  for (const auto& [rule, skipped] : counters.skipped) {
    families.counter("lockstep_messages_skipped_total", "Messages that are no change of a row.",
                     {{"pipeline", view.name}, {"rule", rule}}, static_cast<double>(skipped));
  }
  show("lockstep_kafka_up", "1 while the brokers answer.", status.kafka_reachable ? 1 : 0);
  show("lockstep_target_up", "1 while the target answers.", status.target_outage.empty() ? 1 : 0);
  show("lockstep_target_connections", "Connections to the target.",
       static_cast<double>(status.writers));
  show("lockstep_target_connections_busy", "Those that a transaction runs on.",
       static_cast<double>(status.busy_writers));
  show("lockstep_target_longest_busy_seconds", "How long the oldest of those has run.",
       status.longest_busy_s);
  show("lockstep_assigned_partitions", "Partitions that this daemon reads.",
       static_cast<double>(status.assigned));
  show("lockstep_held_bytes", "Memory of all batches.", static_cast<double>(status.buffered_bytes));
  show("lockstep_lag_seconds", "Since the source committed the newest applied change; 0: current.",
       status.lag_s);
  families.histogram("lockstep_batch_changes", "Changes in a transaction.", labels,
                     status.batch_changes);
  families.histogram("lockstep_record_decode_seconds", "Decoding of a message, one in sixteen.",
                     labels, status.record_decode);
  families.histogram("lockstep_batch_apply_seconds", "A transaction on the target, in all.", labels,
                     status.batch_apply);
  families.histogram("lockstep_batch_commit_seconds", "Its COMMIT.", labels, status.batch_commit);
  add_stages(families, view.name, status.spent);
  if (status.destination) add_destination(families, view.name, *status.destination);
  for (const auto& lane : status.lanes) add_table(families, view.name, lane);
}

/// The names and meanings are those of Prometheus' own client libraries.
void add_process(Families& families) {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (statm >> size >> resident) {
    families.gauge("process_resident_memory_bytes", "Memory in use.", {},
                   static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    families.counter("process_cpu_seconds_total", "User and system time.", {},
                     seconds(usage.ru_utime) + seconds(usage.ru_stime));
  }
}

}  // namespace

std::string metrics_text(const std::vector<View>& pipelines, const std::string& version) {
  Families families;
  families.gauge("lockstep_build_info", "Always 1.", {{"version", version}}, 1);
  const auto reasons = unhealthy(pipelines);
  families.gauge("lockstep_healthy", "1 while /healthz says so.", {}, reasons.empty() ? 1 : 0);
  for (const auto& view : pipelines) add_pipeline(families, view);
  add_process(families);
  return families.text();
}

}  // namespace lockstep::http
