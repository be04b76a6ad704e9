#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "answer.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::control {

/// Kafka Connect's REST API. Threads: any; each call has a connection of its own.
class Connect {
 public:
  explicit Connect(std::string url) : url_{std::move(url)} {}

  struct Answer {
    int status = 0;
    Json body;            ///< null: none, or no JSON
    std::string message;  ///< of an error: what Connect says of it
  };
  /// `path` begins with a /. Waits while Connect is busy with another change (its 409 that says
  /// so). Errors: no answer by then, or Connect is not able to.
  Result<Answer, std::string> call(const std::string& method, const std::string& path,
                                   const std::optional<Json>& body,
                                   std::chrono::milliseconds deadline) const;

  /// A name as a part of a path.
  static std::string escaped(const std::string& name);

 private:
  Result<Answer, std::string> call_once(const std::string& method, const std::string& path,
                                        const std::string* body,
                                        std::chrono::milliseconds deadline) const;

  const std::string url_;
};

}  // namespace lockstep::control
