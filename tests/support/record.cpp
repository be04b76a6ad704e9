#include "record.hpp"

#include <chrono>

namespace lockstep::test {

namespace {

const std::string row_schema =
    R"({"type":"int64","optional":false,"field":"id"},{"type":"int64","optional":false,"field":"version"},{"type":"string","optional":true,"field":"note"})";

std::string envelope_schema(const std::string& topic) {
  const auto row = [&](const char* field) {
    return R"({"type":"struct","fields":[)" + row_schema + R"(],"optional":true,"name":")" + topic +
           R"(.Value","field":")" + field + "\"}";
  };
  return R"({"type":"struct","fields":[)" + row("before") + "," + row("after") + "," +
         R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},{"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},{"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"field":"sequence"},{"type":"string","optional":false,"field":"schema"},{"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},{"type":"int64","optional":true,"field":"lsn"}],"optional":false,"name":"io.debezium.connector.postgresql.Source","field":"source"},)"
         R"({"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"}],"optional":false,"name":")" +
         topic + R"(.Envelope","version":2})";
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

std::string record_key(const std::string& topic, std::int64_t id) {
  return R"({"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],"optional":false,"name":")" +
         topic + R"(.Key"},"payload":{"id":)" + std::to_string(id) + "}}";
}

std::string record_value(const std::string& topic, const std::string& table, char op,
                         std::int64_t id, std::int64_t version, const std::string& note) {
  const std::string row = R"({"id":)" + std::to_string(id) + R"(,"version":)" +
                          std::to_string(version) + R"(,"note":")" + note + "\"}";
  const std::string lsn = std::to_string(1000 + version);
  const std::string time = std::to_string(now_ms());
  return R"({"schema":)" + envelope_schema(topic) + R"(,"payload":{"before":)" +
         (op == 'd' ? row : "null") + R"(,"after":)" + (op == 'd' || op == 't' ? "null" : row) +
         R"(,"source":{"version":"3.6.0.Final","connector":"postgresql","name":"feed","ts_ms":)" +
         time + R"(,"sequence":"[\")" + lsn + R"(\",\")" + lsn +
         R"(\"]","schema":"public","table":")" + table + R"(","txId":)" + std::to_string(version) +
         R"(,"lsn":)" + lsn + R"(},"op":")" + op + R"(","ts_ms":)" + time + "}}";
}

}  // namespace lockstep::test
