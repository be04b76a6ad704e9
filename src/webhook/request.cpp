#include "request.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <optional>

#include "lockstep/event/event.hpp"

namespace lockstep::webhook {

namespace {

struct Value {
  const Column* column;
  const Cell* cell;
};

std::optional<Value> find(const Row& row, std::string_view column) {
  if (row.layout == nullptr) return std::nullopt;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    const Column& candidate = row.layout->columns[i];
    if (candidate.name == column) return Value{&candidate, &row.cells[i]};
  }
  return std::nullopt;
}

Row key_of(const Change& change) {
  return change.has_key ? Row{change.key_layout, change.key} : Row{};
}

/// What Debezium sends for a value that it has not got: null, or zero in a column that can't be.
bool may_stand_for_nothing(const Cell& cell) {
  constexpr std::array zeros{"", "0", "0.0", "f"};
  const auto text = cell.view();
  return cell.is_null() || cell.is_unchanged() || text.starts_with("1970-01-01") ||
         text.starts_with("00:00:00") || std::find(zeros.begin(), zeros.end(), text) != zeros.end();
}

/// Without REPLICA IDENTITY FULL the source sends of a row that is deleted its key only.
bool was_sent(const Row& before, const Row& key) {
  if (before.layout == nullptr) return false;
  for (std::size_t i = 0; i < before.cells.size(); ++i) {
    if (find(key, before.layout->columns[i].name)) continue;
    if (!may_stand_for_nothing(before.cells[i])) return true;
  }
  return false;
}

struct Looked {
  std::optional<Value> value{};  ///< if not, see `fit`
  Fit fit = Fit::yes;
};

Looked look_up(std::string_view column, const Change& change, const Origin& origin) {
  if (is_upsert(change.op)) {
    const auto after = find({change.row_layout, change.row}, column);
    if (!after) return {{}, Fit::no_column};
    if (!after->cell->is_unchanged()) return {after};
    const auto before = find(origin.before, column);
    if (!before || before->cell->is_unchanged() || before->cell->is_null()) {
      return {{}, Fit::not_sent};
    }
    return {before};
  }
  const Row key = key_of(change);
  if (const auto in_key = find(key, column)) return {in_key};
  const auto before = find(origin.before, column);
  if (!before && origin.before.layout != nullptr) return {{}, Fit::no_column};
  if (!before || before->cell->is_unchanged() || !was_sent(origin.before, key)) {
    return {{}, Fit::not_sent};
  }
  return {before};
}

bool is_equal(const Value& value, std::string_view wanted) {
  if (value.cell->is_null()) return false;
  const auto text = value.cell->view();
  if (value.column->type == ValueType::boolean && !value.column->is_array) {
    return wanted == (text == "t" ? "true" : "false");
  }
  return text == wanted;
}

/// Where the placeholder that begins at `open` ends, behind its }; nullopt: it is none.
std::optional<std::size_t> end_of_placeholder(std::string_view form, std::size_t open) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t at = open + 1;
  if (at >= form.size() || !is_letter(form[at])) return std::nullopt;
  while (at < form.size() && (is_letter(form[at]) || is_digit(form[at]))) ++at;
  if (at >= form.size() || form[at] != '}') return std::nullopt;
  return at + 1;
}

}  // namespace

Match match(const std::map<std::string, std::string>& wanted, const Change& change,
            const Origin& origin) {
  if (change.op == Op::truncate) return {wanted.empty() ? Fit::yes : Fit::no};
  Match unclear;
  for (const auto& [column, value] : wanted) {
    const auto looked = look_up(column, change, origin);
    if (!looked.value) {
      unclear = {looked.fit, column};
    } else if (!is_equal(*looked.value, value)) {
      return {Fit::no};  // whatever the others are
    }
  }
  return unclear;
}

Result<std::string, NoBody> body_of(std::string_view form, const Change& change,
                                    const Origin& origin, std::string_view topic) {
  if (form.empty()) return event::to_json(change, origin, topic);
  std::string body;
  while (!form.empty()) {
    const std::size_t open = std::min(form.find('{'), form.size());
    body += form.substr(0, open);
    form.remove_prefix(open);
    if (form.empty()) break;
    const auto end = end_of_placeholder(form, 0);
    if (!end) {
      body += '{';
      form.remove_prefix(1);
      continue;
    }
    const auto column = form.substr(1, *end - 2);
    const auto looked = look_up(column, change, origin);
    if (looked.value) {
      body += event::value_to_json(*looked.value->column, *looked.value->cell);
    } else if (looked.fit == Fit::not_sent && change.op == Op::remove) {
      body += "null";
    } else if (looked.fit == Fit::not_sent) {
      return NoBody{"the source has not sent " + std::string{column} +
                    ", a large value that the update left as it was: ALTER TABLE … "
                    "REPLICA IDENTITY FULL makes the source send it"};
    } else {
      return NoBody{"the body asks for " + std::string{column} + ", which is no column of " +
                    to_string(*change.relation)};
    }
    form.remove_prefix(*end);
  }
  return body;
}

std::string idempotency_key(std::string_view pipeline, const TopicPartition& partition,
                            RecordOffset offset) {
  return std::string{pipeline} + "/" + partition.topic + "/" + std::to_string(partition.partition) +
         "/" + std::to_string(offset.value);
}

std::string signature(std::string_view secret, std::string_view body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest.data(), &size);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "sha256=";
  for (unsigned i = 0; i < size; ++i) {
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 0xF];
  }
  return text;
}

}  // namespace lockstep::webhook
