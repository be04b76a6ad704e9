#include "deliver.hpp"

#include <chrono>
#include <deque>
#include <vector>

#include "lockstep/model/utc.hpp"

namespace lockstep::pipeline {

Result<Done, std::string> deliver(kafka::Producer& producer, const std::string& pipeline,
                                  std::span<const Letter> letters) {
  const std::string now = utc_text(std::chrono::system_clock::now());
  std::deque<std::string> numbers;  // that headers point to
  std::vector<kafka::OutgoingRecord> records;
  records.reserve(letters.size());
  for (const Letter& letter : letters) {
    records.push_back({letter.key, letter.value, {letter.headers.begin(), letter.headers.end()}});
    auto& headers = records.back().headers;
    const auto number = [&](std::int64_t value) -> std::string_view {
      return numbers.emplace_back(std::to_string(value));
    };
    headers.push_back({"lockstep.pipeline", pipeline});
    headers.push_back({"lockstep.topic", letter.topic});
    headers.push_back({"lockstep.partition", number(letter.partition)});
    headers.push_back({"lockstep.offset", number(letter.offset.value)});
    headers.push_back({"lockstep.stage", name(letter.stage)});
    headers.push_back({"lockstep.error", letter.error});
    headers.push_back({"lockstep.time", now});
    if (!letter.row_key.empty()) headers.push_back({"lockstep.key", letter.row_key});
  }
  if (auto sent = producer.send(records); !sent) return sent.error().message;
  return done;
}

}  // namespace lockstep::pipeline
