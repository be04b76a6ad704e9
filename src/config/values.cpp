#include "values.hpp"

#include <arpa/inet.h>
#include <regex.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/model/names.hpp"

namespace lockstep::config {
namespace {

constexpr std::string_view digits = "0123456789";

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

/// A whole number with one of `units`; nullopt if it isn't or is out of uint64's range.
template <std::size_t n>
std::optional<std::uint64_t> with_unit(std::string_view text, const std::array<Unit, n>& units) {
  const std::size_t end = std::min(text.find_first_not_of(digits), text.size());
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + end, number);
  if (parsed.ec != std::errc{}) return std::nullopt;
  for (const auto& unit : units) {
    if (text.substr(end) != unit.name) continue;
    if (number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() && port >= 1 &&
         port <= 65535;
}

/// host, host:port, [v6] or [v6]:port, the port a number.
bool is_host(std::string_view text, bool may_be_empty) {
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == text.npos) return false;
    port = text.substr(close + 1);
    if (port.empty()) return true;
    has_port = port.starts_with(':');
    if (!has_port) return false;
    port.remove_prefix(1);
  } else {
    const std::size_t colon = text.find(':');
    has_port = colon != text.npos;
    if (has_port) port = text.substr(colon + 1);
    if (text.substr(0, colon).empty() && !may_be_empty) return false;
  }
  return !has_port || is_port(port);
}

bool escapes_are_valid(std::string_view url) {
  constexpr std::string_view hex = "0123456789abcdefABCDEF";
  for (std::size_t at = url.find('%'); at != url.npos; at = url.find('%', at + 1)) {
    const auto code = url.substr(at + 1, 2);
    if (code.size() != 2 || code == "00" || code.find_first_not_of(hex) != code.npos) return false;
  }
  return true;
}

/// What the %XX of a URL's part stand for; they are valid.
std::string unescaped(std::string_view part) {
  std::string text;
  for (std::size_t at = 0; at < part.size(); ++at) {
    unsigned char byte = static_cast<unsigned char>(part[at]);
    if (byte == '%') {
      std::from_chars(part.data() + at + 1, part.data() + at + 3, byte, 16);
      at += 2;
    }
    text += static_cast<char>(byte);
  }
  return text;
}

}  // namespace

Result<std::uint64_t, Error> to_count(std::string_view text) {
  if (const auto count = with_unit(text, std::array{Unit{"", 1}})) return *count;
  return Error{"is not a whole number"};
}

Result<std::uint64_t, Error> to_bytes(std::string_view text) {
  constexpr std::array units{Unit{"B", 1}, Unit{"KiB", 1ULL << 10}, Unit{"MiB", 1ULL << 20},
                             Unit{"GiB", 1ULL << 30}};
  if (const auto bytes = with_unit(text, units)) return *bytes;
  constexpr std::string_view expected = "expected a whole number and B, KiB, MiB or GiB";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> meant{{{"", "B"},
                                                                                 {"b", "B"},
                                                                                 {"k", "KiB"},
                                                                                 {"K", "KiB"},
                                                                                 {"kB", "KiB"},
                                                                                 {"KB", "KiB"},
                                                                                 {"M", "MiB"},
                                                                                 {"MB", "MiB"},
                                                                                 {"m", "MiB"},
                                                                                 {"G", "GiB"},
                                                                                 {"GB", "GiB"}}};
  const std::size_t end = std::min(text.find_first_not_of(digits), text.size());
  for (const auto& [wrong, right] : meant) {
    if (end == 0 || text.substr(end) != wrong) continue;
    const std::string problem = wrong.empty() ? "has no unit" : "is not a size";
    return Error{problem + "; did you mean the unit " + std::string{right} + "? " +
                 std::string{expected}};
  }
  return Error{"is not a size; " + std::string{expected} + ", such as 64MiB"};
}

Result<std::chrono::milliseconds, Error> to_duration(std::string_view text) {
  constexpr std::array units{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}};
  if (const auto ms = with_unit(text, units)) {
    return std::chrono::milliseconds{static_cast<std::int64_t>(*ms)};
  }
  return Error{"is not a duration; expected a whole number and ms, s or m, such as 20ms"};
}

Result<bool, Error> to_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return Error{"is neither true nor false"};
}

Result<RedisServer, Error> to_redis_server(std::string_view url) {
  constexpr std::string_view scheme = "redis://";
  constexpr std::string_view expected = "expected redis://user:password@host:port/database";
  const auto wrong = [&](std::string_view what) {
    return Error{std::string{what} + "; " + std::string{expected}};
  };
  if (url.starts_with("rediss://")) return wrong("is for TLS, which is not available");
  if (!url.starts_with(scheme)) return wrong("is not a Redis URL");
  std::string_view rest = url.substr(scheme.size());
  if (!escapes_are_valid(rest)) return wrong("has a % that is not followed by two digits");
  RedisServer server;
  if (const auto at = rest.rfind('@'); at != rest.npos) {
    const auto account = rest.substr(0, at);
    const auto colon = account.find(':');
    if (colon == account.npos) return wrong("has a user without a password");
    server.user = unescaped(account.substr(0, colon));
    server.password = unescaped(account.substr(colon + 1));
    rest.remove_prefix(at + 1);
  }
  if (const auto slash = rest.find('/'); slash != rest.npos) {
    const auto database = rest.substr(slash + 1);
    const auto* const end = database.data() + database.size();
    const auto parsed = std::from_chars(database.data(), end, server.database);
    if (!database.empty() &&
        (parsed.ec != std::errc{} || parsed.ptr != end || server.database < 0)) {
      return wrong("has a database that is not a number");
    }
    rest = rest.substr(0, slash);
  }
  if (!is_host(rest, false)) return wrong("has no host, or a port that is none");
  const auto colon = rest.rfind(':');
  const bool has_port = colon != rest.npos && rest.find(']', colon) == rest.npos;
  if (has_port) {
    std::from_chars(rest.data() + colon + 1, rest.data() + rest.size(), server.port);
  }
  std::string_view host = has_port ? rest.substr(0, colon) : rest;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  server.host = host;
  return server;
}

Result<Done, Error> check_postgres_url(std::string_view url) {
  std::string_view rest = url;
  for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  }
  if (rest.size() == url.size()) {
    return Error{"is not a PostgreSQL URL; expected postgresql://user:password@host:port/database"};
  }
  const Error unclear{
      "is not a PostgreSQL URL; expected postgresql://user:password@host:port/database, with "
      "% @ : / ? of a user or password written as %25 %40 %3A %2F %3F"};
  if (!escapes_are_valid(rest) || url.find_first_of(std::string_view{" \t\r\n\0", 5}) != url.npos) {
    return unclear;
  }
  const std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  const std::string_view path = rest.substr(authority_end);
  if (const std::size_t at = authority.find('@'); at != authority.npos) {
    authority.remove_prefix(at + 1);
  }
  if (authority.find('@') != authority.npos || path.find('@') != path.npos) return unclear;
  for (const auto host : split(authority, ',')) {
    if (!is_host(host, true)) return unclear;
  }
  if (const std::size_t question = path.find('?'); question != path.npos) {
    for (const auto parameter : split(path.substr(question + 1), '&')) {
      const std::size_t equals = parameter.find('=');
      if (equals == 0 || equals == parameter.npos || parameter.find('=', equals + 1) != path.npos) {
        return Error{"has a parameter after ? that is not name=value"};
      }
    }
  }
  return done;
}

Result<Address, Error> to_listen(std::string_view text) {
  if (text.empty()) return Address{};
  const Error expected{
      "is not an address to listen on; expected address:port, such as 127.0.0.1:8000, or \"\" for "
      "none"};
  const auto colon = text.rfind(':');
  if (colon == text.npos) return expected;
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  unsigned number = 0;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != port.data() + port.size() || number > 65535) {
    return expected;
  }
  if (host == "localhost") host = "127.0.0.1";
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  if (in_brackets) host = host.substr(1, host.size() - 2);
  const std::string address{host};
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  if (inet_pton(in_brackets ? AF_INET6 : AF_INET, address.c_str(), binary.data()) != 1) {
    return expected;
  }
  return Address{address, static_cast<std::uint16_t>(number)};
}

Result<Done, Error> check_host_name(std::string_view name) {
  if (is_plain_name(name, name.npos)) return done;
  return Error{"is not a host's name; expected it without scheme and port, such as ops.example"};
}

Result<Done, Error> check_origin(std::string_view origin) {
  const auto scheme = origin.find("://");
  const bool is_web = origin.starts_with("http://") || origin.starts_with("https://");
  if (is_web && origin.size() > scheme + 3 &&
      origin.substr(scheme + 3).find_first_of("/?#@ ") == origin.npos) {
    return done;
  }
  return Error{"is not an origin; expected scheme and host, such as https://ops.example"};
}

Result<Done, Error> check_web_url(std::string_view url) {
  const Error expected{
      "is not a URL of the web; expected http or https, such as https://host/path"};
  std::string_view rest = url;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  }
  if (rest.size() == url.size()) return expected;
  const bool is_printable =
      std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c < 0x7F; });
  auto authority = rest.substr(0, std::min(rest.find_first_of("/?#"), rest.size()));
  if (const auto at = authority.rfind('@'); at != authority.npos) authority.remove_prefix(at + 1);
  return is_printable && is_host(authority, false) ? Result<Done, Error>{done} : expected;
}

Result<Done, Error> check_header_name(std::string_view name) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const auto known = std::string{letters} + std::string{digits} + "-_";
  if (name.empty() || name.find_first_not_of(known) != name.npos) {
    return Error{"is not a header's name; expected letters, digits, - or _"};
  }
  // Those that say what the call is are Lockstep's, and those that say where it ends HTTP's.
  for (const std::string_view owned : {"idempotency-key", "x-lockstep-signature", "content-length",
                                       "transfer-encoding", "expect", "connection"}) {
    const bool is_same =
        name.size() == owned.size() &&
        std::equal(name.begin(), name.end(), owned.begin(), [](char a, char b) {
          return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
        });
    if (is_same) return Error{"is set by Lockstep; expected another header"};
  }
  return done;
}

Result<Done, Error> check_header_value(std::string_view value) {
  const bool is_one_line = std::none_of(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == 0x7F;
  });
  if (is_one_line) return done;
  return Error{"is not a header's value; expected one line of text"};
}

Result<Done, Error> check_brokers(std::string_view brokers) {
  for (auto broker : split(brokers, ',')) {
    while (broker.starts_with(' ')) broker.remove_prefix(1);
    while (broker.ends_with(' ')) broker.remove_suffix(1);
    if (const std::size_t scheme = broker.find("://"); scheme != broker.npos) {
      broker.remove_prefix(scheme + 3);
    }
    if (broker.empty() || !is_host(broker, false)) {
      return Error{"is not a list of brokers; expected host:port, more of them after commas"};
    }
  }
  return done;
}

Result<Done, Error> check_topic(std::string_view topic) {
  if (topic.starts_with('^')) {
    return Error{"is a regular expression; that goes into topics_pattern instead of topics"};
  }
  if (is_topic_name(topic)) return done;
  return Error{"is not a topic's name; expected 1 to 249 letters, digits, dots, _ or -"};
}

Result<Done, Error> check_topics_pattern(std::string_view pattern) {
  // Only ^ makes librdkafka take it for a pattern; it compiles it in this way too.
  if (!pattern.starts_with('^')) return Error{"does not begin with ^"};
  regex_t compiled;
  const int error = regcomp(&compiled, std::string{pattern}.c_str(), REG_EXTENDED | REG_NOSUB);
  if (error == 0) {
    regfree(&compiled);
    return done;
  }
  std::array<char, 128> reason{};
  regerror(error, &compiled, reason.data(), reason.size());
  return Error{std::string{"is not a POSIX extended regular expression: "} + reason.data()};
}

namespace {

constexpr std::size_t longest_name = 100;

}  // namespace

Result<Done, Error> check_pipeline_name(std::string_view name) {
  if (is_plain_name(name, longest_name)) return done;
  return Error{"is not a pipeline's name; expected 1 to 100 letters, digits, dots, _ or -"};
}

Result<Done, Error> check_token_name(std::string_view name) {
  if (is_plain_name(name, longest_name)) return done;
  return Error{"is not a token's name; expected 1 to 100 letters, digits, dots, _ or -"};
}

Result<Done, Error> check_identifier(std::string_view name) {
  constexpr std::size_t longest = 63;  // PostgreSQL cuts what is longer
  if (name.size() <= longest && name.find('\0') == name.npos) return done;
  return Error{"is longer than 63 bytes, PostgreSQL's limit"};
}

Result<Done, Error> check_name(std::string_view name) {
  if (name.empty()) return Error{"is empty; expected a name"};
  return check_identifier(name);
}

Result<Done, Error> check_match(std::string_view pattern) {
  const auto dot = pattern.find('.');
  if (dot != pattern.npos && dot > 0 && dot + 1 < pattern.size()) return done;
  return Error{"is not a source table; expected schema.table, such as public.users or public.*"};
}

Result<Done, Error> check_table(std::string_view table) {
  const auto dot = table.find('.');
  if (dot == table.npos || dot == 0 || dot + 1 == table.size()) {
    return Error{"is not a table; expected schema.table, such as public.debezium_signal"};
  }
  if (auto schema = check_name(table.substr(0, dot)); !schema) return schema;
  return check_name(table.substr(dot + 1));
}

Result<Done, Error> check_target(std::string_view table) {
  if (table.empty()) return done;
  const auto dot = table.find('.');
  if (dot == table.npos) return check_name(table);
  if (auto schema = check_name(table.substr(0, dot)); !schema) return schema;
  return check_name(table.substr(dot + 1));
}

bool is_variable_name(std::string_view name) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  if (name.empty() || letters.find(name.front()) == letters.npos) return false;
  return name.find_first_not_of(std::string{letters} + std::string{digits}) == name.npos;
}

}  // namespace lockstep::config
