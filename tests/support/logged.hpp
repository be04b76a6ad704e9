#pragma once

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::test {

/// What is logged while it lives, each line as "level text".
class Logged {
 public:
  Logged() : before_{spdlog::default_logger()}, sink_{std::make_shared<Sink>()} {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
  }
  ~Logged() { spdlog::set_default_logger(before_); }
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;

  std::vector<std::string> take() { return sink_->take(); }

 private:
  class Sink : public spdlog::sinks::base_sink<std::mutex> {
   public:
    std::vector<std::string> take() {
      const std::scoped_lock lock{mutex_};
      return std::exchange(lines_, {});
    }

   private:
    void sink_it_(const spdlog::details::log_msg& message) override {
      const auto level = spdlog::level::to_string_view(message.level);
      lines_.push_back(std::string{level.data(), level.size()} + " " +
                       std::string{message.payload.data(), message.payload.size()});
    }
    void flush_() override {}
    std::vector<std::string> lines_;
  };
  std::shared_ptr<spdlog::logger> before_;
  std::shared_ptr<Sink> sink_;
};

}  // namespace lockstep::test
