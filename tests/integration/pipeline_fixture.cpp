#include "pipeline_fixture.hpp"

#include <stdexcept>

#include "stack.hpp"

namespace lockstep::test {

using std::chrono::seconds;
using Kind = SinkError::Kind;

namespace {

std::string key(int id) {
  return R"({"id":)" + std::to_string(id) + "}";
}

std::string value(const std::string& table, char op, const std::string& after) {
  return R"({"before":null,"after":)" + after + R"(,"source":{"schema":"public","table":")" +
         table + R"(","ts_us":1},"op":")" + op + R"("})";
}

}  // namespace

Result<SinkPositions, SinkError> KeepingSink::positions(
    const std::vector<TopicPartition>& partitions) {
  const std::scoped_lock lock{applied_.mutex};
  ++applied_.position_reads;
  SinkPositions found;
  for (const auto& tp : partitions) {
    if (applied_.positions.contains(tp)) found[tp] = {applied_.positions[tp]};
    if (applied_.tables.contains(tp)) found[tp].tables = applied_.tables[tp];
  }
  return found;
}

Result<Done, SinkError> KeepingSink::apply(const Batch& batch) {
  const std::scoped_lock lock{applied_.mutex};
  ++applied_.attempts;
  if (applied_.refuse) {
    if (auto error = applied_.refuse(batch, applied_.attempts)) return *error;
  }
  for (const auto& slice : batch.slices) {
    const auto at = applied_.positions.find(slice.partition);
    const auto now = at == applied_.positions.end() ? std::nullopt : std::optional{at->second};
    if (now == slice.expected) continue;
    applied_.torn = true;
    return SinkError{Kind::moved, "not where the batch begins"};
  }
  for (const auto& slice : batch.slices) {
    applied_.positions[slice.partition] = slice.next;
    if (slice.relation == nullptr) continue;
    applied_.tables[slice.partition] = {*slice.relation, slice.has_several_relations};
  }
  for (const auto& change : batch.changes) {
    if (change.op == Op::truncate) continue;
    const std::string row = change.relation->table + "/" + std::string{change.key[0].view()};
    if (is_upsert(change.op)) {
      applied_.rows[row] = std::string{change.row[1].view()};
      applied_.history[row].push_back(applied_.rows[row]);
    } else {
      applied_.rows.erase(row);
    }
  }
  applied_.changes += batch.changes.size();
  applied_.largest_batch = std::max(applied_.largest_batch, batch.records);
  return done;
}

std::vector<std::unique_ptr<Sink>> keeping_sinks(Applied& applied, int count) {
  std::vector<std::unique_ptr<Sink>> sinks;
  for (int i = 0; i < count; ++i) sinks.push_back(std::make_unique<KeepingSink>(applied));
  return sinks;
}

PipelineFixture::PipelineFixture(const std::string& test, const std::vector<std::string>& tables,
                                 int partitions_of_each)
    : name{unique("pipeline_test_" + test)}, partitions{partitions_of_each} {
  for (const auto& table : tables) {
    create_topic(table);
    topics.push_back(topic(table));
  }
}

void PipelineFixture::produce(const std::string& table, int id, const std::string& v) {
  const std::string after = R"({"id":)" + std::to_string(id) + R"(,"v":")" + v + R"("})";
  broker.produce(topic(table), id % partitions, key(id), value(table, 'c', after));
}

void PipelineFixture::produce_truncate(const std::string& table) {
  broker.produce(topic(table), 0, std::nullopt, value(table, 't', "null"));
}

PipelineFixture::Running::Running(pipeline::PipelineConfig config,
                                  std::vector<std::unique_ptr<Sink>> sinks)
    : pipeline{std::move(config), std::move(sinks)}, thread_{[this](const std::stop_token& stop) {
        if (auto result = pipeline.run(stop); !result) cause = result.error();
        ended = true;
      }} {}

void PipelineFixture::Running::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

pipeline::PipelineConfig PipelineFixture::config() const {
  return {name,
          {.brokers = Stack::from_environment().brokers,
           .group = "lockstep." + name,
           .topics = topics,
           .properties = properties},
          limits};
}

std::unique_ptr<PipelineFixture::Running> PipelineFixture::join(const std::string& id) {
  auto member = config();
  member.consumer.properties["group.instance.id"] = id;
  return std::make_unique<Running>(std::move(member), keeping_sinks(applied));
}

void PipelineFixture::start() {
  running = std::make_unique<Running>(config(), keeping_sinks(applied));
  eventually(seconds{20}, "the pipeline runs", [&] { return !status().name.empty(); });
}

void PipelineFixture::stop() {
  if (!running) return;
  running->stop();
  ended_well = running->cause.empty();
  running.reset();
}

pipeline::PipelineStatus PipelineFixture::status() const {
  auto status = pipeline().status(seconds{5});
  if (!status) throw std::runtime_error{status.error()};
  return *status;
}

pipeline::LaneStatus PipelineFixture::lane(const std::string& table) const {
  for (auto& lane : status().lanes) {
    if (lane.topic == topic(table)) return lane;
  }
  throw std::runtime_error{"there is no lane of table " + table};
}

Result<Done, pipeline::CommandError> PipelineFixture::tell(pipeline::Command::Verb verb,
                                                           const std::string& table) {
  return pipeline().tell({verb, table.empty() ? "" : topic(table)}, seconds{5});
}

void PipelineFixture::await_rows(std::size_t count) {
  eventually(seconds{30}, std::to_string(count) + " rows", [&]() -> std::string {
    const std::scoped_lock lock{applied.mutex};
    return applied.rows.size() == count ? "" : std::to_string(applied.rows.size()) + " rows";
  });
}

void PipelineFixture::await_committed(const std::string& table, std::int64_t offset,
                                      int partition) {
  eventually(seconds{20}, "the group's offset", [&]() -> std::string {
    const auto now = broker.committed("lockstep." + name, topic(table), partition);
    return now == offset ? "" : now ? std::to_string(*now) : "none";
  });
}

void PipelineFixture::await_state(const std::string& table, Lane::State state) {
  eventually(seconds{20}, table + " is " + std::string{pipeline::name(state)},
             [&]() -> std::string {
               const auto now = lane(table).state;
               return now == state ? "" : std::string{pipeline::name(now)};
             });
}

void PipelineFixture::refuse(const std::string& table, const SinkError& error) {
  const std::scoped_lock lock{applied.mutex};
  applied.refuse = [of = topic(table), error](const Batch& batch, int) -> std::optional<SinkError> {
    if (batch.slices.front().partition.topic != of) return std::nullopt;
    return error;
  };
}

void PipelineFixture::mend() {
  const std::scoped_lock lock{applied.mutex};
  applied.refuse = nullptr;
}

}  // namespace lockstep::test
