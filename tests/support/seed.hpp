#pragma once

#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace lockstep::test {

/// What a test's random numbers begin with, printed: of LOCKSTEP_SEED, to play it again, or any.
inline unsigned new_seed() {
  const char* const given = std::getenv("LOCKSTEP_SEED");
  const unsigned seed =
      given == nullptr ? std::random_device{}() : static_cast<unsigned>(std::stoul(given));
  std::cout << "LOCKSTEP_SEED=" << seed << std::endl;
  return seed;
}

}  // namespace lockstep::test
