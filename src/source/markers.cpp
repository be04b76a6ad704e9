#include "markers.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lockstep::source {

namespace {

using Json = nlohmann::json;

/// As Debezium spells bytes, by binary.handling.mode: what the two forms of base64 differ in is
/// left out.
std::string plain(std::string text) {
  while (!text.empty() && text.back() == '=') text.pop_back();
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  return text;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  unsigned held = 0;
  int bits = 0;
  for (const unsigned char byte : bytes) {
    held = (held << 8U | byte) & 0xFFFFU;
    bits += 8;
    for (; bits >= 6; bits -= 6) text += letters[held >> (bits - 6) & 63U];
  }
  if (bits > 0) text += letters[held << (6 - bits) & 63U];
  return text;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

/// The content of a message that is one of ours, as it is spelt.
std::optional<std::string> content_of(std::string_view value) {
  if (value.find(marker_prefix) == value.npos) return std::nullopt;  // parsing is for few
  const Json json = Json::parse(value, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const Json& payload = json.contains("payload") ? json["payload"] : json;
  if (!payload.is_object() || payload.value("op", Json{}) != "m") return std::nullopt;
  const Json message = payload.value("message", Json{});
  if (!message.is_object() || message.value("prefix", Json{}) != marker_prefix) return std::nullopt;
  const Json content = message.value("content", Json{});
  if (!content.is_string()) return std::nullopt;
  return plain(content.get<std::string>());
}

}  // namespace

void Markers::record(std::int32_t partition, std::int64_t offset,
                     std::optional<std::string_view> value) {
  Read& read = read_.try_emplace(partition, Read{offset}).first->second;
  if (offset > read.next) in_transactions_ = true;
  read = {offset + 1, true};
  auto content = value ? content_of(*value) : std::nullopt;
  if (!content) return;
  const auto [at, is_new] = known_.insert(*std::move(content));
  if (!is_new) return;
  by_age_.push_back(at);
  if (by_age_.size() <= most) return;
  known_.erase(by_age_.front());
  by_age_.pop_front();
}

void Markers::end_reached(std::int32_t partition, std::int64_t end) {
  const auto found = read_.find(partition);
  if (found == read_.end()) return;
  Read& read = found->second;
  if (end > read.next) {
    in_transactions_ = true;
  } else if (read.is_open) {
    in_transactions_ = false;
  }
  read = {std::max(end, read.next), false};
}

bool Markers::has(const std::string& marker) const {
  return known_.contains(base64(marker)) || known_.contains(hex(marker));
}

}  // namespace lockstep::source
