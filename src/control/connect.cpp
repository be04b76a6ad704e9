#include "connect.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "lockstep/model/destroy.hpp"

namespace lockstep::control {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds connect_deadline{2000};
constexpr milliseconds between_tries{200};
constexpr std::size_t most_bytes = 4 * 1024 * 1024;

using Curl = std::unique_ptr<CURL, Destroy<&curl_easy_cleanup>>;
using Headers = std::unique_ptr<curl_slist, Destroy<&curl_slist_free_all>>;

std::size_t append(char* bytes, std::size_t size, std::size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  if (body.size() + size * count > most_bytes) return 0;  // ends the call
  body.append(bytes, size * count);
  return size * count;
}

/// A worker that joins or leaves, or a change that this one has not read yet.
bool is_busy(const Connect::Answer& answer) {
  return answer.status == 409 && answer.message.find("already exists") == std::string::npos;
}

/// Connect itself has waited in vain: for Kafka, or for the worker that leads.
bool has_timed_out(const Connect::Answer& answer) {
  return answer.status >= 500 && (answer.message.find("timed out") != std::string::npos ||
                                  answer.message.find("Timeout") != std::string::npos);
}

}  // namespace

std::string Connect::escaped(const std::string& name) {
  const std::unique_ptr<char, Destroy<&curl_free>> text{
      curl_easy_escape(nullptr, name.data(), static_cast<int>(name.size()))};
  return text ? text.get() : "";
}

Result<Connect::Answer, std::string> Connect::call(const std::string& method,
                                                   const std::string& path,
                                                   const std::optional<Json>& body,
                                                   milliseconds deadline) const {
  const auto end = Clock::now() + deadline;
  const auto text =
      body ? body->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) : std::string{};
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    auto answer = call_once(method, path, body ? &text : nullptr, std::max(left, between_tries));
    if (!answer) return answer;
    if (has_timed_out(*answer) || answer->status == 503) {
      return "Connect answers " + std::to_string(answer->status) + ": " + answer->message;
    }
    if (!is_busy(*answer)) return answer;
    if (Clock::now() + between_tries >= end) return "Connect is busy: " + answer->message;
    std::this_thread::sleep_for(between_tries);
  }
}

Result<Connect::Answer, std::string> Connect::call_once(const std::string& method,
                                                        const std::string& path,
                                                        const std::string* body,
                                                        milliseconds deadline) const {
  const Curl handle{curl_easy_init()};
  if (!handle) return std::string{"libcurl can't be started"};
  const Headers headers{curl_slist_append(nullptr, "Content-Type: application/json")};
  std::string received;
  const std::string url = url_ + path;
  curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_CUSTOMREQUEST, method.c_str());
  if (body != nullptr) {
    curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDS, body->data());
    curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
    curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
  }
  curl_easy_setopt(handle.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle.get(), CURLOPT_NOPROXY, "*");  // it is near, whatever http_proxy says
  curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle.get(), CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(std::min(deadline, connect_deadline).count()));
  curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(deadline.count()));
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &received);
  if (const auto code = curl_easy_perform(handle.get()); code != CURLE_OK) {
    return std::string{curl_easy_strerror(code)} +
           "; does Kafka Connect run, and is it where connect.url says?";
  }
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  Answer answer{static_cast<int>(status), Json::parse(received, nullptr, false), {}};
  if (answer.body.is_discarded()) answer.body = nullptr;
  if (answer.body.is_object() && answer.body.contains("message") &&
      answer.body["message"].is_string()) {
    answer.message = answer.body["message"].get<std::string>();
  }
  return answer;
}

}  // namespace lockstep::control
