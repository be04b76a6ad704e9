#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <filesystem>

#include "catch.hpp"

namespace lockstep::test {

/// Starts a program that dies with this process, and gives its pid. What it says goes to the ends
/// of `out` and `err`. `folder`: where it works; empty: here.
inline pid_t start_process(char* const* argv, char* const* envp, const std::filesystem::path& out,
                           const std::filesystem::path& err,
                           const std::filesystem::path& folder = {}) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  constexpr int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  dup2(open(out.c_str(), flags, 0644), STDOUT_FILENO);
  dup2(open(err.c_str(), flags, 0644), STDERR_FILENO);
  if (!folder.empty() && chdir(folder.c_str()) != 0) _exit(127);
  execve(argv[0], argv, envp);
  _exit(127);
}

}  // namespace lockstep::test
