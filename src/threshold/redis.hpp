#pragma once

#include <hiredis/hiredis.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/model/destroy.hpp"
#include "lockstep/model/redis.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::threshold {

/// A connection to Redis. Commands are put one behind the other, then their answers are taken.
/// Threads: one. Errors: why there is no answer, for the log; the connection is of no use any more.
class Redis {
 public:
  struct Answer {
    std::string text;  ///< of a string, status, number or error
    bool is_nil = false;
    bool is_error = false;  ///< Redis refuses the command; of a transaction: one of its commands
    std::vector<Answer> list;
  };

  /// Logs in and selects the database. `deadline`: for the connection, and for each answer.
  static Result<Redis, std::string> open(const RedisServer& server,
                                         std::chrono::milliseconds deadline);

  /// Nothing is sent before answers().
  void put(const std::vector<std::string_view>& command);
  /// Of all that was put, in its order.
  Result<std::vector<Answer>, std::string> answers();

 private:
  using Context = std::unique_ptr<redisContext, Destroy<&redisFree>>;

  explicit Redis(Context context) : context_{std::move(context)} {}
  std::string cause() const;

  Context context_;
  std::size_t put_ = 0;
};

}  // namespace lockstep::threshold
