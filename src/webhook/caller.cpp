#include "caller.hpp"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/x509.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "lockstep/model/destroy.hpp"
#include "request.hpp"

namespace lockstep::webhook {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds longest_wait{500};
constexpr milliseconds connect_timeout{10'000};

using Easy = std::unique_ptr<CURL, Destroy<&curl_easy_cleanup>>;
using Multi = std::unique_ptr<CURLM, Destroy<&curl_multi_cleanup>>;
using HeaderList = std::unique_ptr<curl_slist, Destroy<&curl_slist_free_all>>;

class Descriptor {
 public:
  Descriptor(int fd, const char* what) : fd_{fd} {
    if (fd_ < 0) throw std::system_error{errno, std::generic_category(), what};
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const noexcept { return fd_; }

 private:
  const int fd_;
};

void start_library() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) throw std::runtime_error{"libcurl can't be started"};
}

std::size_t ignore(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

/// A connection whose peer does not acknowledge what it was sent is ended. Many calls may share it:
/// each that times out alone would leave it to the next ones for a quarter of an hour.
int end_when_unheard(void*, curl_socket_t socket, curlsocktype) {
  constexpr unsigned longest_unheard_ms = 30'000;
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &longest_unheard_ms, sizeof longest_unheard_ms);
  return CURL_SOCKOPT_OK;  // what can't be set is no reason not to call
}

void add(HeaderList& list, const std::string& line) {
  if (auto* const longer = curl_slist_append(list.get(), line.c_str())) {
    static_cast<void>(list.release());
    list.reset(longer);
  }
}

CallOutcome kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return CallOutcome::timeout;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return CallOutcome::connect;
    default:
      return CallOutcome::cut_short;
  }
}

/// Nothing of the URL.
std::string error_of(CURL* handle, CURLcode code) {
  if (code == CURLE_SSL_CACERT_BADFILE) {
    return "the certificates in the route's ca can't be read: expected PEM, whole";
  }
  if (code != CURLE_PEER_FAILED_VERIFICATION) return curl_easy_strerror(code);
  long reason = X509_V_OK;
  curl_easy_getinfo(handle, CURLINFO_SSL_VERIFYRESULT, &reason);
  // libcurl notes nothing of its own look at the host: then the reason is none, or the one it
  // begins with.
  if (reason == X509_V_OK || reason == X509_V_ERR_UNSPECIFIED) {
    return "its certificate is for another host: mend it there, or the host in the route's url";
  }
  return "its certificate is not accepted (" + std::string{X509_verify_cert_error_string(reason)} +
         "): renew it there, or name the authority that has signed it in the route's ca";
}

bool is_same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x | 0x20) == (y | 0x20);  // letters and '-' only
         });
}

}  // namespace

class Caller::Impl {
 public:
  explicit Impl(const WebhookRoute& route) : route_{route} {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = wake_;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
    if (!multi_) throw std::runtime_error{"libcurl is out of memory"};
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &Impl::on_socket);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &Impl::on_timer);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    const auto most = static_cast<long>(route_.max_in_flight);
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, most);
    curl_multi_setopt(multi_.get(), CURLMOPT_MAX_CONCURRENT_STREAMS,
                      most);  // or as the server says
    for (const auto& [name, value] : route_.headers) {
      // curl takes a header that ends with ';' for one without a value.
      fixed_headers_.push_back(value.empty() ? name + ";" : name + ": " + value);
    }
    const auto is_given = [&](std::string_view name) {
      return std::any_of(route_.headers.begin(), route_.headers.end(),
                         [&](const auto& header) { return is_same_name(header.first, name); });
    };
    if (!is_given("Content-Type")) fixed_headers_.emplace_back("Content-Type: application/json");
    if (!is_given("User-Agent")) fixed_headers_.emplace_back("User-Agent: lockstep");
    fixed_headers_.emplace_back("Expect:");  // no wait before a large body
  }

  ~Impl() {
    for (auto& [easy, call] : calls_) curl_multi_remove_handle(multi_.get(), easy);
  }

  void begin(Id id, const std::string& body, const std::string& idempotency_key) {
    Easy easy = take_handle();
    if (!easy) return refuse(id);
    HeaderList headers;
    for (const auto& line : fixed_headers_) add(headers, line);
    add(headers, "Idempotency-Key: " + idempotency_key);
    if (!route_.secret.empty()) {
      add(headers, "X-Lockstep-Signature: " + signature(route_.secret, body));
    }
    curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, body.data());
    auto* const handle = easy.get();
    calls_.insert_or_assign(handle, Call{id, std::move(easy), std::move(headers)});
    if (curl_multi_add_handle(multi_.get(), handle) != CURLM_OK) {
      calls_.erase(handle);
      refuse(id);
    }
  }

  std::vector<Finished> wait(Time until) {
    if (finished_.empty()) wait_for_sockets(until);
    take_messages();
    return std::exchange(finished_, {});
  }

  void wake() const noexcept {
    const std::uint64_t one = 1;
    // It can only fail because the counter is full, and then the waiter is awake already.
    [[maybe_unused]] const auto written = write(wake_, &one, sizeof one);
  }

 private:
  struct Call {
    Id id;
    Easy easy;
    HeaderList headers;
  };

  /// With all that is the same for all calls.
  Easy take_handle() {
    if (!idle_.empty()) {
      Easy easy = std::move(idle_.back());
      idle_.pop_back();
      return easy;
    }
    Easy easy{curl_easy_init()};
    if (!easy) return easy;
    const auto set = [&](CURLoption option, auto value) {
      curl_easy_setopt(easy.get(), option, value);
    };
    set(CURLOPT_URL, route_.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_POST, 1L);
    set(CURLOPT_CUSTOMREQUEST, route_.method.c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_SOCKOPTFUNCTION, &end_when_unheard);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    if (!route_.ca.empty()) {
      curl_blob trusted{const_cast<char*>(route_.ca.data()), route_.ca.size(), CURL_BLOB_NOCOPY};
      set(CURLOPT_CAINFO_BLOB, &trusted);
    }
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(route_.timeout.count()));
    set(CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::min(route_.timeout, connect_timeout).count()));
    set(CURLOPT_WRITEFUNCTION, &ignore);
    set(CURLOPT_BUFFERSIZE, 4096L);  // of 16 KiB each, thousands of calls would feel it
    if (route_.url.starts_with("https:")) set(CURLOPT_PIPEWAIT, 1L);  // one connection for many
    return easy;
  }

  void refuse(Id id) { finished_.push_back({id, {.transport_error = "libcurl is out of memory"}}); }

  void wait_for_sockets(Time until) {
    const auto now = Clock::now();
    auto wake_at = std::min(until, now + longest_wait);
    if (timer_) wake_at = std::min(wake_at, *timer_);
    const auto timeout = std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(wake_at - now));
    std::array<epoll_event, 256> events{};
    const int count =
        epoll_wait(epoll_, events.data(), events.size(), static_cast<int>(timeout.count()));
    int running = 0;
    for (int i = 0; i < count; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd == wake_) {
        std::uint64_t times = 0;
        [[maybe_unused]] const auto taken = read(wake_, &times, sizeof times);
        continue;
      }
      int what = 0;
      if ((event.events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
      if ((event.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
      if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
      curl_multi_socket_action(multi_.get(), event.data.fd, what, &running);
    }
    if (timer_ && *timer_ <= Clock::now()) {
      timer_.reset();
      curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
    }
  }

  void take_messages() {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* const handle = message->easy_handle;
      const CURLcode code = message->data.result;  // the message goes with its handle
      Outcome outcome;
      curl_off_t took_us = 0;
      curl_easy_getinfo(handle, CURLINFO_TOTAL_TIME_T, &took_us);
      outcome.took = std::chrono::microseconds{took_us};
      if (code != CURLE_OK) {
        outcome.transport_error = error_of(handle, code);
        outcome.error_kind = kind_of(code);
      } else {
        curl_off_t retry_after = 0;
        curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &outcome.status);
        curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &retry_after);  // of a date, what is left
        outcome.retry_after = std::chrono::seconds{std::max<curl_off_t>(0, retry_after)};
      }
      curl_multi_remove_handle(multi_.get(), handle);
      const auto call = calls_.find(handle);
      finished_.push_back({call->second.id, std::move(outcome)});
      curl_easy_setopt(handle, CURLOPT_HTTPHEADER, nullptr);
      curl_easy_setopt(handle, CURLOPT_POSTFIELDS, nullptr);
      idle_.push_back(std::move(call->second.easy));
      calls_.erase(call);
    }
  }

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void* known) {
    auto& impl = *static_cast<Impl*>(self);
    if (what == CURL_POLL_REMOVE) {
      epoll_ctl(impl.epoll_, EPOLL_CTL_DEL, socket, nullptr);
      return 0;
    }
    epoll_event event{};
    if (what != CURL_POLL_OUT) event.events |= EPOLLIN;
    if (what != CURL_POLL_IN) event.events |= EPOLLOUT;
    event.data.fd = socket;
    epoll_ctl(impl.epoll_, known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
    if (known == nullptr) curl_multi_assign(impl.multi_.get(), socket, self);
    return 0;
  }

  static int on_timer(CURLM*, long timeout_ms, void* self) {
    auto& timer = static_cast<Impl*>(self)->timer_;
    timer.reset();
    if (timeout_ms >= 0) timer = Clock::now() + milliseconds{timeout_ms};
    return 0;
  }

  const WebhookRoute route_;
  std::vector<std::string> fixed_headers_;
  const Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC), "epoll"};
  const Descriptor wake_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"};
  std::optional<Time> timer_;  ///< when libcurl wants to be called
  std::vector<Easy> idle_;
  Multi multi_{curl_multi_init()};
  std::unordered_map<CURL*, Call> calls_;  // before the multi handle ends, its calls do
  std::vector<Finished> finished_;
};

Caller::Caller(const WebhookRoute& route) {
  start_library();
  impl_ = std::make_unique<Impl>(route);
}
Caller::~Caller() = default;

void Caller::begin(Id id, const std::string& body, const std::string& idempotency_key) {
  impl_->begin(id, body, idempotency_key);
}
std::vector<Caller::Finished> Caller::wait(Time until) {
  return impl_->wait(until);
}
void Caller::wake() const noexcept {
  impl_->wake();
}

std::string destination_of(const std::string& url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return {};
  const auto host = scheme + 3;
  const auto end = std::min(url.find_first_of("/?#", host), url.size());
  const auto at = url.rfind('@', end);
  const auto begin = at != std::string::npos && at >= host && at < end ? at + 1 : host;
  return url.substr(0, host) + url.substr(begin, end - begin);
}

}  // namespace lockstep::webhook
