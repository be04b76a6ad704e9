#pragma once

#include <chrono>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "lockstep/model/mutex.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/pipeline/status.hpp"
#include "wakeup.hpp"

namespace lockstep::pipeline {

/// Questions and commands on their way to the thread that runs a pipeline, and the answers back.
/// Bounds: a sender waits for its answer, so there are at most as many letters as senders, plus
/// those whose senders have given up.
/// Threads: ask() from any; open(), take() and close() from the pipeline's.
class Mailbox {
 public:
  template <class Answer, class Error>
  using Promise = std::shared_ptr<std::promise<Result<Answer, Error>>>;

  struct Question {
    Promise<PipelineStatus, std::string> answer;
  };
  struct Order {
    Command command;
    Promise<lockstep::Done, CommandError> answer;
  };
  using Letter = std::variant<Question, Order>;

  explicit Mailbox(const Wakeup& wakeup) : wakeup_{wakeup} {}

  /// Errors: nobody reads the mail, or not within `deadline`.
  Result<PipelineStatus, std::string> ask(std::chrono::milliseconds deadline) {
    return send<PipelineStatus, std::string>(
        deadline, [](const auto& answer) { return Letter{Question{answer}}; });
  }
  Result<lockstep::Done, CommandError> tell(Command command, std::chrono::milliseconds deadline) {
    return send<lockstep::Done, CommandError>(deadline, [&](const auto& answer) {
      return Letter{Order{std::move(command), answer}};
    });
  }

  void open() {
    const Lock lock{mutex_};
    open_ = true;
  }
  std::deque<Letter> take() {
    const Lock lock{mutex_};
    return std::exchange(letters_, {});
  }
  /// What is still in it, and what comes later, gets an error.
  void close() {
    std::deque<Letter> left;
    {
      const Lock lock{mutex_};
      open_ = false;
      left.swap(letters_);
    }
    for (auto& letter : left) {
      if (auto* const question = std::get_if<Question>(&letter)) {
        question->answer->set_value(not_running());
      } else {
        std::get<Order>(letter).answer->set_value(CommandError{not_running()});
      }
    }
  }

 private:
  static std::string not_running() { return "the pipeline does not run"; }

  template <class Answer, class Error, class Make>
  Result<Answer, Error> send(std::chrono::milliseconds deadline, const Make& make) {
    auto promise = std::make_shared<std::promise<Result<Answer, Error>>>();
    auto answer = promise->get_future();
    {
      const Lock lock{mutex_};
      if (!open_) return Error{not_running()};
      letters_.push_back(make(promise));
    }
    wakeup_.notify();
    if (answer.wait_for(deadline) != std::future_status::ready) {
      return Error{"the pipeline has not answered within " + std::to_string(deadline.count()) +
                   " ms"};
    }
    return answer.get();
  }

  const Wakeup& wakeup_;
  Mutex mutex_;
  std::deque<Letter> letters_ LOCKSTEP_GUARDED_BY(mutex_);
  bool open_ LOCKSTEP_GUARDED_BY(mutex_) = false;
};

}  // namespace lockstep::pipeline
