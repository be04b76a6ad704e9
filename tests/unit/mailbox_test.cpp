#include "mailbox.hpp"

#include <thread>

#include "catch.hpp"

using namespace lockstep::pipeline;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;
using Verb = Command::Verb;

namespace {

/// Reads the mail as a pipeline's thread does, until it is let go.
class Reader {
 public:
  Reader(Mailbox& mailbox, Wakeup& wakeup)
      : thread_{[&](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            wakeup.wait(milliseconds{10});
            for (auto& letter : mailbox.take()) answer(letter);
          }
        }} {}

 private:
  static void answer(Mailbox::Letter& letter) {
    if (auto* const question = std::get_if<Mailbox::Question>(&letter)) {
      PipelineStatus status;
      status.name = "p";
      question->answer->set_value(std::move(status));
      return;
    }
    auto& order = std::get<Mailbox::Order>(letter);
    if (order.command.topic == "nowhere") {
      order.answer->set_value(CommandError{"no topic nowhere", CommandError::Kind::refused});
    } else {
      order.answer->set_value(lockstep::done);
    }
  }

  std::jthread thread_;
};

}  // namespace

TEST_CASE("mailbox: without a reader the answer is an error, at once") {
  Wakeup wakeup;
  Mailbox mailbox{wakeup};
  const auto begin = Clock::now();
  const auto asked = mailbox.ask(seconds{60});
  REQUIRE_FALSE(asked);
  CHECK(asked.error() == "the pipeline does not run");
  CHECK_FALSE(mailbox.tell({Verb::retry, ""}, seconds{60}).has_value());
  CHECK(Clock::now() - begin < seconds{10});
}

TEST_CASE("mailbox: each sender gets the answer to its own letter") {
  Wakeup wakeup;
  Mailbox mailbox{wakeup};
  mailbox.open();
  const Reader reader{mailbox, wakeup};
  std::atomic<int> wrong{0};
  std::vector<std::jthread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const auto status = mailbox.ask(seconds{20});
        if (!status || status->name != "p") ++wrong;
        if (!mailbox.tell({Verb::pause, "t"}, seconds{20})) ++wrong;
        const auto refused = mailbox.tell({Verb::pause, "nowhere"}, seconds{20});
        if (refused || refused.error().message != "no topic nowhere") ++wrong;
      }
    });
  }
  senders.clear();
  CHECK(wrong == 0);
}

TEST_CASE(
    "mailbox: a reader that is busy for too long costs its senders no more than the deadline") {
  Wakeup wakeup;
  Mailbox mailbox{wakeup};
  mailbox.open();
  const auto begin = Clock::now();
  const auto asked = mailbox.ask(milliseconds{50});
  REQUIRE_FALSE(asked);
  CHECK(asked.error() == "the pipeline has not answered within 50 ms");
  CHECK(Clock::now() - begin >= milliseconds{50});
  CHECK(Clock::now() - begin < seconds{10});
  // The late answer to a sender that has given up harms nobody.
  auto letters = mailbox.take();
  REQUIRE(letters.size() == 1);
  std::get<Mailbox::Question>(letters.front()).answer->set_value(PipelineStatus{});
}

TEST_CASE("mailbox: who waits when it is closed gets an error, at once") {
  Wakeup wakeup;
  Mailbox mailbox{wakeup};
  mailbox.open();
  const auto begin = Clock::now();
  std::atomic<bool> told{false};
  std::jthread sender{[&] { told = mailbox.tell({Verb::retry, ""}, seconds{60}).has_value(); }};
  wakeup.wait(seconds{20});  // its letter has come
  mailbox.close();
  sender.join();
  CHECK_FALSE(told);
  CHECK(Clock::now() - begin < seconds{10});
}
