#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lockstep {

/// How often a figure lay at or below each of the bounds, as Prometheus counts it.
template <std::size_t N>
class Histogram {
 public:
  explicit constexpr Histogram(const std::array<double, N>& bounds) : bounds_{&bounds} {}

  void add(double value, std::uint64_t times = 1) {
    const auto at = std::lower_bound(bounds_->begin(), bounds_->end(), value) - bounds_->begin();
    counts_[static_cast<std::size_t>(at)] += times;
    count_ += times;
    sum_ += value * static_cast<double>(times);
  }

  const std::array<double, N>& bounds() const noexcept { return *bounds_; }
  /// Above the bound before and up to this one; the last: above all bounds.
  const std::array<std::uint64_t, N + 1>& counts() const noexcept { return counts_; }
  std::uint64_t count() const noexcept { return count_; }
  double sum() const noexcept { return sum_; }

 private:
  const std::array<double, N>* bounds_;
  std::array<std::uint64_t, N + 1> counts_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

/// Seconds that something took, from half a millisecond to a minute.
inline constexpr std::array seconds_bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                           0.25,   0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 60.0};
/// Seconds that something is late, up to a day.
inline constexpr std::array delay_bounds{0.005, 0.01, 0.025, 0.05, 0.1,  0.25,  0.5,    1.0,
                                         2.5,   5.0,  10.0,  30.0, 60.0, 300.0, 3600.0, 86400.0};
inline constexpr std::array size_bounds{1.0,    5.0,    10.0,    50.0,    100.0,    500.0,
                                        1000.0, 5000.0, 10000.0, 20000.0, 100000.0, 1000000.0};
/// Seconds that one record took: from a microsecond on.
inline constexpr std::array record_bounds{0.000001, 0.000002, 0.000005, 0.00001, 0.00002, 0.00005,
                                          0.0001,   0.0002,   0.0005,   0.001,   0.01,    0.1};

using SecondsHistogram = Histogram<seconds_bounds.size()>;
using DelayHistogram = Histogram<delay_bounds.size()>;
using SizeHistogram = Histogram<size_bounds.size()>;
using RecordHistogram = Histogram<record_bounds.size()>;

}  // namespace lockstep
