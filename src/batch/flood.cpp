#include "lockstep/batch/flood.hpp"

#include "lockstep/model/advice.hpp"

namespace lockstep {

bool FloodGuard::admit(Time now) {
  constexpr std::chrono::minutes window{1};
  while (!times_.empty() && times_.front() <= now - window) times_.pop_front();
  times_.push_back(now);
  if (times_.size() <= per_minute_) return true;
  times_.clear();
  return false;
}

std::string flood_cause(const std::string& of_record, std::size_t per_minute) {
  return of_record + "; and there were " + std::to_string(per_minute) +
         " dead letters in a minute: that many mean that something else is wrong; mend it, " +
         then_reload;
}

}  // namespace lockstep
