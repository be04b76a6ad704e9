#include "lockstep/observe/log.hpp"

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "lockstep/model/utc.hpp"

namespace lockstep::observe {
namespace {

std::string_view name(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
      return "trace";
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warn";
    default:
      return "error";
  }
}

void append(spdlog::memory_buf_t& to, std::string_view text) {
  to.append(text.data(), text.data() + text.size());
}

class TextFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    constexpr std::size_t level_width = 6;
    append(line, utc_text(message.time));
    append(line, " ");
    std::string level{name(message.level)};
    level.resize(level_width, ' ');
    append(line, level);
    for (const char c : message.payload) append_escaped(line, c);
    append(line, "\n");
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>();
  }

 private:
  static void append_escaped(spdlog::memory_buf_t& line, char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) return line.push_back(c);
    if (c == '\n') return append(line, "\\n");
    if (c == '\t') return append(line, "\\t");
    std::array<char, 5> escape{};
    std::snprintf(escape.data(), escape.size(), "\\x%02x", byte);
    append(line, escape.data());
  }
};

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const nlohmann::ordered_json object{
        {"ts", utc_text(message.time)},
        {"level", name(message.level)},
        {"msg", std::string_view{message.payload.data(), message.payload.size()}}};
    using Handler = nlohmann::ordered_json::error_handler_t;
    append(line, object.dump(-1, ' ', false, Handler::replace));  // not UTF-8: U+FFFD
    append(line, "\n");
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

}  // namespace

void start_logging(std::string_view level, bool json) {
  auto logger = std::make_shared<spdlog::logger>("lockstep",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (json) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(std::make_unique<TextFormatter>());
  }
  logger->set_level(spdlog::level::from_str(std::string{level}));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace lockstep::observe
