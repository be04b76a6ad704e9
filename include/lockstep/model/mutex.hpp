#pragma once

#include <condition_variable>
#include <mutex>

/// Says in the code which lock guards what, so that clang++ checks it (-Wthread-safety, an error in
/// our builds). g++ ignores it. The words are clang's:
/// clang.llvm.org/docs/ThreadSafetyAnalysis.html
#if defined(__clang__)
#define LOCKSTEP_THREAD_ATTRIBUTE(attribute) __attribute__((attribute))
#else
#define LOCKSTEP_THREAD_ATTRIBUTE(attribute)
#endif
#define LOCKSTEP_GUARDED_BY(mutex) LOCKSTEP_THREAD_ATTRIBUTE(guarded_by(mutex))
#define LOCKSTEP_REQUIRES(mutex) LOCKSTEP_THREAD_ATTRIBUTE(requires_capability(mutex))

namespace lockstep {

/// std::mutex, known to the analysis.
class LOCKSTEP_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() LOCKSTEP_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() LOCKSTEP_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

/// Holds a Mutex while it lives. lock() and unlock() are for std::condition_variable_any, whose
/// waits give the mutex back meanwhile; write `while (!condition) changed.wait(lock);`, since the
/// analysis does not look into a lambda.
class LOCKSTEP_THREAD_ATTRIBUTE(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex& mutex) LOCKSTEP_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_{mutex} {
    mutex_.lock();
  }
  ~Lock() LOCKSTEP_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() LOCKSTEP_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() LOCKSTEP_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

}  // namespace lockstep
