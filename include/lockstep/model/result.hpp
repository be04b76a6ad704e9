#pragma once

#include <stdexcept>
#include <utility>
#include <variant>

namespace lockstep {

/// A value or the reason why there is none. Stands in for std::expected, which C++20 lacks, with
/// its member names. Reading the side that is not there throws std::bad_variant_access: a bug.
template <class T, class E>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_{std::in_place_index<0>, std::move(value)} {}
  Result(E error) : state_{std::in_place_index<1>, std::move(error)} {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

  const E& error() const& { return std::get<1>(state_); }
  E&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, E> state_;
};

/// For results that carry no value: `return done;`
struct Done {};
inline constexpr Done done{};

}  // namespace lockstep
