#include "redis.hpp"

#include <sys/time.h>

#include <cstring>
#include <utility>

#include "lockstep/threshold/gate.hpp"

namespace lockstep::threshold {

namespace {

timeval to_timeval(std::chrono::milliseconds time) {
  return {.tv_sec = time.count() / 1000, .tv_usec = time.count() % 1000 * 1000};
}

Redis::Answer answer_of(const redisReply& reply) {
  Redis::Answer answer;
  switch (reply.type) {
    case REDIS_REPLY_NIL:
      answer.is_nil = true;
      break;
    case REDIS_REPLY_INTEGER:
      answer.text = std::to_string(reply.integer);
      break;
    case REDIS_REPLY_ARRAY:
      for (std::size_t i = 0; i < reply.elements; ++i) {
        answer.list.push_back(answer_of(*reply.element[i]));
        const auto& last = answer.list.back();
        if (!last.is_error || answer.is_error) continue;
        answer.is_error = true;
        answer.text = last.text;
      }
      break;
    default:
      answer.is_error = reply.type == REDIS_REPLY_ERROR;
      if (reply.str != nullptr) answer.text.assign(reply.str, static_cast<std::size_t>(reply.len));
  }
  return answer;
}

}  // namespace

std::string describe(const RedisServer& server) {
  const bool is_v6 = server.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + server.host + "]" : server.host) + ":" + std::to_string(server.port);
}

Result<Redis, std::string> Redis::open(const RedisServer& server,
                                       std::chrono::milliseconds deadline) {
  const auto time = to_timeval(deadline);
  Context context{redisConnectWithTimeout(server.host.c_str(), server.port, time)};
  if (!context) return std::string{"out of memory"};
  Redis redis{std::move(context)};
  if (redis.context_->err != 0) {
    return describe(server) + " can't be reached: " + redis.cause() +
           "; does it run, and is it where the configuration's redis says?";
  }
  redisSetTimeout(redis.context_.get(), time);
  if (!server.user.empty()) {
    redis.put({"AUTH", server.user, server.password});
  } else if (!server.password.empty()) {
    redis.put({"AUTH", server.password});
  }
  const auto database = std::to_string(server.database);
  redis.put({"SELECT", database});
  auto answers = redis.answers();
  if (!answers) return describe(server) + ": " + answers.error();
  for (const auto& answer : *answers) {
    if (!answer.is_error) continue;
    return describe(server) + " refuses the connection: " + answer.text +
           "; user, password and database stand in the configuration's redis";
  }
  return redis;
}

void Redis::put(const std::vector<std::string_view>& command) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const auto& word : command) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  // Errors stay in the context: answers() tells them.
  redisAppendCommandArgv(context_.get(), static_cast<int>(command.size()), texts.data(),
                         sizes.data());
  ++put_;
}

Result<std::vector<Redis::Answer>, std::string> Redis::answers() {
  std::vector<Answer> answers;
  for (; put_ > 0; --put_) {
    void* reply = nullptr;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK || reply == nullptr) return cause();
    const std::unique_ptr<redisReply, Destroy<&freeReplyObject>> owned{
        static_cast<redisReply*>(reply)};
    answers.push_back(answer_of(*owned));
  }
  return answers;
}

std::string Redis::cause() const {
  if (context_->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return "no answer in time";
  }
  return context_->errstr[0] == '\0' ? "the connection is lost" : context_->errstr;
}

Result<Done, std::string> ping(const RedisServer& server) {
  const auto opened = Redis::open(server, std::chrono::seconds{1});
  if (!opened) return opened.error();
  return done;
}

}  // namespace lockstep::threshold
