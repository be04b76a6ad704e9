#include "lockstep/model/arena.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "lockstep/batch/limits.hpp"

using lockstep::Arena;

namespace {

constexpr std::size_t KiB = 1024;

}  // namespace

TEST_CASE("arena: takes nothing before it is used") {
  CHECK(Arena{}.bytes() == 0);
}

TEST_CASE("arena: begins small and grows with what is in it") {
  Arena arena;
  std::size_t so_far = 0;
  const auto bytes_after = [&](std::size_t allocated) {
    for (; so_far < allocated; so_far += 16) arena.allocate(16);
    return arena.bytes();
  };
  CHECK(bytes_after(16) == KiB);
  CHECK(bytes_after(KiB) == KiB);
  CHECK(bytes_after(KiB + 16) == 2 * KiB);
  CHECK(bytes_after(2 * KiB + 16) == 4 * KiB);
  CHECK(bytes_after(4 * KiB + 16) == 8 * KiB);
  CHECK(bytes_after(64 * KiB) == 64 * KiB);
  CHECK(bytes_after(64 * KiB + 16) == 128 * KiB);
  CHECK(bytes_after(128 * KiB + 16) == 192 * KiB);  // no block is larger than 64 KiB…
  arena.allocate(1000 * KiB);
  CHECK(arena.bytes() == 1192 * KiB);  // …but for what would not fit into one
}

TEST_CASE("arena: what was put in stays where it is, aligned, through growth and moves") {
  Arena arena;
  std::vector<std::pair<std::string, std::string_view>> texts;
  for (std::size_t size = 0; size < 3000; size += 7) {
    std::string text(size, static_cast<char>('a' + size % 26));
    const auto copy = arena.copy(text);
    texts.emplace_back(std::move(text), copy);
    const auto number = static_cast<std::uint64_t>(size);
    const auto numbers = arena.copy(std::span<const std::uint64_t>{&number, 1});
    REQUIRE(numbers.front() == size);
    REQUIRE(reinterpret_cast<std::uintptr_t>(numbers.data()) % alignof(std::uint64_t) == 0);
  }
  const Arena moved = std::move(arena);
  for (const auto& [text, copy] : texts) REQUIRE(copy == text);
}

TEST_CASE("batch: the smallest max_bytes still takes many changes") {
  lockstep::BatchLimits limits;
  limits.max_bytes = 64 * KiB;
  lockstep::Batch batch;
  while (!is_full(batch, limits)) {
    batch.arena.allocate(200);
    batch.changes.emplace_back();
    ++batch.records;
  }
  CHECK(batch.records > 50);
  CHECK(batch.bytes() < 2 * limits.max_bytes);
}
