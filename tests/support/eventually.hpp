#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace lockstep::test {

/// Asks until the condition holds; the only wait in the tests. After `deadline` the test fails with
/// what was waited for and what was seen last. An exception (a database that is down) is "not yet".
/// The condition answers "" when it holds, else what it sees instead.
void eventually(std::chrono::milliseconds deadline, const std::string& what,
                const std::function<std::string()>& condition);
void eventually(std::chrono::milliseconds deadline, const std::string& what,
                const std::function<bool()>& condition);

}  // namespace lockstep::test
