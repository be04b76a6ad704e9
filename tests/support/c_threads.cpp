// librdkafka starts its threads with C11's thrd_create(), of which the thread sanitizer knows
// nothing: it crashes in them. In builds with it these go by pthread's, which it knows.
// (In glibc a thrd_t is a pthread_t; threads.h and pthread.h may be mixed.)
#if defined(__SANITIZE_THREAD__)
#define LOCKSTEP_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOCKSTEP_THREAD_SANITIZER
#endif
#endif

#ifdef LOCKSTEP_THREAD_SANITIZER

#include <pthread.h>
#include <threads.h>

#include <cstdint>
#include <memory>

namespace {

struct Start {
  thrd_start_t function;
  void* argument;
};

void* run(void* raw) {
  const std::unique_ptr<Start> start{static_cast<Start*>(raw)};
  const std::intptr_t result = start->function(start->argument);
  return reinterpret_cast<void*>(result);
}

}  // namespace

extern "C" int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto start = std::make_unique<Start>(Start{function, argument});
  if (pthread_create(thread, nullptr, run, start.get()) != 0) return thrd_error;
  static_cast<void>(start.release());  // run() owns it now
  return thrd_success;
}

extern "C" int thrd_join(thrd_t thread, int* result) {
  void* raw = nullptr;
  if (pthread_join(thread, &raw) != 0) return thrd_error;
  if (result != nullptr) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(raw));
  return thrd_success;
}

// What librdkafka synchronises by mtx_lock() is not seen either: only our own code is looked at.
extern "C" const char* __tsan_default_options() {
  return "ignore_noninstrumented_modules=1 halt_on_error=1";
}

#endif
