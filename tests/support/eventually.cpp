#include "eventually.hpp"

#include <thread>

#include "catch.hpp"

namespace lockstep::test {

void eventually(std::chrono::milliseconds deadline, const std::string& what,
                const std::function<std::string()>& condition) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + deadline;
  std::string seen;
  for (;;) {
    try {
      seen = condition();
      if (seen.empty()) return;
    } catch (const std::exception& error) {
      seen = error.what();
    }
    if (Clock::now() >= end) break;
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  FAIL("waited " << deadline.count() << " ms for: " << what << "\nlast seen: " << seen);
}

void eventually(std::chrono::milliseconds deadline, const std::string& what,
                const std::function<bool()>& condition) {
  eventually(deadline, what, std::function<std::string()>{[&] {
               return condition() ? std::string{} : std::string{"not so"};
             }});
}

}  // namespace lockstep::test
