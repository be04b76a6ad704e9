// Tries what each directive of config/lockstepd.service is to refuse, and prints one line for each:
// DIRECTIVE<tab>ATTEMPT<tab>allowed, or refused (WHY). Run twice by systemd.sh: inside the unit's
// sandbox and outside of it, where an attempt that is refused as well says nothing about the unit.

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

/// What a call returned: 0 and more means that it was allowed.
using Attempt = long();

/// In a process of its own: an attempt may change the process, or end it.
void try_out(const char* directive, const char* what, Attempt* attempt) {
  const pid_t child = fork();
  if (child == 0) _exit(attempt() >= 0 ? 0 : errno);
  int status = 0;
  waitpid(child, &status, 0);
  std::printf("%s\t%s\t", directive, what);
  if (WIFSIGNALED(status)) {
    std::printf("refused (%s)\n", strsignal(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    std::printf("refused (%s)\n", std::strerror(WEXITSTATUS(status)));
  } else {
    std::printf("allowed\n");
  }
}

long writable(const char* path) {
  struct statvfs found {};
  if (statvfs(path, &found) != 0) return -1;
  errno = EROFS;
  return (found.f_flag & ST_RDONLY) == 0 ? 0 : -1;
}

long listed(const char* path) {
  return opendir(path) == nullptr ? -1 : 0;
}

long scheduled(int policy, int priority) {
  const sched_param wanted{priority};
  return sched_setscheduler(0, policy, &wanted);
}

long set_user_id_bit() {
  char name[] = "/tmp/probe.XXXXXX";
  const int file = mkstemp(name);
  if (file < 0) return -1;
  unlink(name);
  return fchmod(file, 04755);
}

long page() {
  void* const got = mmap(nullptr, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return got == MAP_FAILED ? -1 : 0;
}

/// As who keeps something for the next start does it: written beside, made durable, put in place.
long kept_file() {
  const char* const folder = getenv("STATE_DIRECTORY");
  if (folder == nullptr) {
    errno = ENOENT;
    return -1;
  }
  const std::string name = std::string{folder} + "/probe";
  const int file = open((name + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || write(file, "kept", 4) != 4 || fsync(file) != 0) return -1;
  return rename((name + ".new").c_str(), name.c_str());
}

long clock_state() {
  timex nothing{};  // no mode: it only reads, which needs no privilege
  return adjtimex(&nothing);
}

#ifdef __x86_64__
long foreign_call() {
  long result = 20;  // getpid, to a 32-bit process
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  errno = result < 0 ? static_cast<int>(-result) : 0;
  return result < 0 ? -1 : 0;
}
#endif

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IONBF, 0);
  try_out("ProtectSystem", "a writable /", [] { return writable("/"); });
  try_out("ProtectSystem", "a writable /var", [] { return writable("/var"); });
  try_out("ProtectHome", "a look into /home", [] { return listed("/home"); });
  try_out("ProtectHome", "a look into /root", [] { return listed("/root"); });
  try_out("ProtectControlGroups", "writable control groups", [] {
    return writable(access("/sys/fs/cgroup/systemd", F_OK) == 0 ? "/sys/fs/cgroup/systemd"
                                                                : "/sys/fs/cgroup");
  });
  try_out("ProtectKernelTunables", "a writable /sys", [] { return writable("/sys"); });
  try_out("ProtectKernelModules", "a look at the modules",
          [] { return listed("/usr/lib/modules"); });
  try_out("ProtectKernelLogs", "the kernel log's size",
          [] { return static_cast<long>(klogctl(10, nullptr, 0)); });
  try_out("ProtectClock", "the clock's state", clock_state);
  try_out("ProtectProc", "another's /proc/1",
          [] { return static_cast<long>(access("/proc/1/stat", R_OK)); });
  try_out("ProcSubset", "/proc/meminfo",
          [] { return static_cast<long>(access("/proc/meminfo", R_OK)); });
  try_out("ProtectHostname", "a host name", [] {
    char name[256] = {};
    return gethostname(name, sizeof name) == 0
               ? static_cast<long>(sethostname(name, std::strlen(name)))
               : -1;
  });
  try_out("LockPersonality", "another personality",
          [] { return static_cast<long>(personality(ADDR_NO_RANDOMIZE)); });
  try_out("MemoryDenyWriteExecute", "a page to write and execute", page);
  try_out("RestrictAddressFamilies", "a netlink socket",
          [] { return static_cast<long>(socket(AF_NETLINK, SOCK_RAW, 0)); });
  try_out("RestrictNamespaces", "a user namespace",
          [] { return static_cast<long>(unshare(CLONE_NEWUSER)); });
  try_out("RestrictRealtime", "real time", [] { return scheduled(SCHED_FIFO, 1); });
  try_out("RestrictSUIDSGID", "a set-user-id bit", set_user_id_bit);
#ifdef __x86_64__
  try_out("SystemCallArchitectures", "a 32-bit call", foreign_call);
#endif
  try_out("SystemCallFilter", "ptrace, not in @system-service",
          [] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); });
  try_out("SystemCallFilter", "a policy of scheduling, in @resources",
          [] { return scheduled(SCHED_BATCH, 0); });
  try_out("RemoveIPC", "shared memory that outlives us",
          [] { return static_cast<long>(shmget(0x10c5, 4096, IPC_CREAT | 0600)); });
  // What the daemon needs stays allowed.
  try_out("needed", "a lower priority",
          [] { return static_cast<long>(setpriority(PRIO_PROCESS, 0, 10)); });
  try_out("needed", "an IPv4 socket",
          [] { return static_cast<long>(socket(AF_INET, SOCK_STREAM, 0)); });
  try_out("needed", "an IPv6 socket",
          [] { return static_cast<long>(socket(AF_INET6, SOCK_STREAM, 0)); });
  try_out("needed", "a Unix socket",
          [] { return static_cast<long>(socket(AF_UNIX, SOCK_STREAM, 0)); });
  try_out("needed", "a file in the state folder", kept_file);
}
