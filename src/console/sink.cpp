#include "lockstep/console/sink.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "lockstep/event/event.hpp"

namespace lockstep::console {

namespace {

class ConsoleSink : public Sink {
 public:
  explicit ConsoleSink(bool json) : json_{json} {}

  Result<SinkPositions, SinkError> positions(const std::vector<TopicPartition>&) override {
    return SinkPositions{};
  }

  Result<Done, SinkError> apply(const Batch& batch) override {
    std::string lines;
    for (std::size_t i = 0; i < batch.changes.size(); ++i) {
      const auto& topic = batch.slices.front().partition.topic;
      const auto& change = batch.changes[i];
      const auto& origin = batch.origins[i];
      lines +=
          json_ ? event::to_json(change, origin, topic) : event::to_line(change, origin, topic);
      lines += '\n';
    }
    const bool written = std::fwrite(lines.data(), 1, lines.size(), stdout) == lines.size();
    if (written && std::fflush(stdout) == 0) return done;
    std::clearerr(stdout);
    return SinkError{SinkError::Kind::unavailable,
                     std::string{"standard output can't be written: "} + std::strerror(errno)};
  }

 private:
  const bool json_;
};

}  // namespace

std::unique_ptr<Sink> make_sink(bool json) {
  return std::make_unique<ConsoleSink>(json);
}

}  // namespace lockstep::console
