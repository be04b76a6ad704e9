#include "lockstep/event/event.hpp"

#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "lockstep/model/printable.hpp"
#include "lockstep/model/text.hpp"

namespace lockstep::event {

namespace {

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string hex(std::string_view bytes) {
  std::string text = "\\x";
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

bool is_number(const Column& column, const Cell& cell) {
  if (column.is_array || cell.view().empty()) return false;
  if (column.type == ValueType::untyped) return cell.kind() == Cell::Kind::bare_number;
  const bool has_digits = column.type == ValueType::integer || column.type == ValueType::floating ||
                          column.type == ValueType::numeric;
  const char last = cell.view().back();
  return has_digits && last >= '0' && last <= '9';  // not NaN, not Infinity
}

bool is_json(const Column& column, std::string_view text) {
  return (column.source_type == "JSON" || column.source_type == "JSONB") && !column.is_array &&
         nlohmann::json::accept(text);
}

std::string text_of(const Column& column, const Cell& cell) {
  if (column.type == ValueType::bytes && !column.is_array) return hex(cell.view());
  return std::string{cell.view()};
}

std::string row_or_null(const Row& row) {
  return row.layout == nullptr ? "null" : row_to_json(*row.layout, row.cells);
}

/// ISO 8601 in UTC; `separator` between day and time.
std::string time_of(std::int64_t ts_us, char separator) {
  const std::chrono::sys_time<std::chrono::microseconds> time{std::chrono::microseconds{ts_us}};
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%d}{}{:%H:%M:%S}.{:06}",
                     fmt::gmtime(second.time_since_epoch().count()), separator,
                     fmt::gmtime(second.time_since_epoch().count()), (time - second).count());
}

// ---- Lines

constexpr std::size_t longest_value = 60;

std::string shown(const Column& column, const Cell& cell) {
  if (cell.is_null()) return "NULL";
  if (cell.is_unchanged()) return "(unchanged)";
  if (is_number(column, cell)) return std::string{cell.view()};
  const auto text = text_of(column, cell);
  const auto beginning = beginning_of(text, longest_value);
  return json_text(beginning) + (beginning.size() < text.size() ? "…" : "");
}

const Cell* find(const Row& row, std::string_view column) {
  if (row.layout == nullptr) return nullptr;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    if (row.layout->columns[i].name == column) return &row.cells[i];
  }
  return nullptr;
}

bool is_same(const Cell& a, const Cell& b) {
  return a.kind() == b.kind() && a.view() == b.view();
}

void put_row(std::string& line, const Row& row, const Row& key, const Row& before) {
  if (row.layout == nullptr) return;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    const Column& column = row.layout->columns[i];
    const Cell& cell = row.cells[i];
    if (find(key, column.name) != nullptr) continue;
    const Cell* const old = find(before, column.name);
    if (before.layout != nullptr && (cell.is_unchanged() || (old && is_same(*old, cell)))) continue;
    line += " " + column.name;
    line += old != nullptr ? ": " + shown(column, *old) + " -> " : "=";
    line += shown(column, cell);
  }
}

}  // namespace

std::string_view name(Op op) {
  switch (op) {
    case Op::create:
      return "create";
    case Op::update:
      return "update";
    case Op::read:
      return "read";
    case Op::remove:
      return "delete";
    case Op::truncate:
      return "truncate";
  }
  return "unknown";
}

std::string value_to_json(const Column& column, const Cell& cell) {
  if (cell.is_null()) return "null";
  if (column.type == ValueType::boolean && !column.is_array) {
    return cell.view() == "t" ? "true" : "false";
  }
  if (is_number(column, cell) || is_json(column, cell.view())) return std::string{cell.view()};
  return json_text(text_of(column, cell));
}

std::string row_to_json(const Layout& layout, std::span<const Cell> cells) {
  std::string json = "{";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].is_unchanged()) continue;
    if (json.size() > 1) json += ",";
    json += json_text(layout.columns[i].name) + ":" + value_to_json(layout.columns[i], cells[i]);
  }
  return json + "}";
}

std::string to_json(const Change& change, const Origin& origin, std::string_view topic) {
  const Row key = change.has_key ? Row{change.key_layout, change.key} : Row{};
  std::string json = fmt::format(
      R"({{"op":"{}","topic":{},"partition":{},"offset":{},"table":{},"time":{},"key":{},"before":{},"after":{})",
      name(change.op), json_text(topic), change.partition, change.offset.value,
      json_text(to_string(*change.relation)),
      change.source_ts_us == 0 ? "null" : "\"" + time_of(change.source_ts_us, 'T') + "Z\"",
      row_or_null(key), row_or_null(origin.before), row_or_null({change.row_layout, change.row}));
  if (change.has_unchanged) {
    std::string columns;
    for (std::size_t i = 0; i < change.row.size(); ++i) {
      if (!change.row[i].is_unchanged()) continue;
      columns += (columns.empty() ? "" : ",") + json_text(change.row_layout->columns[i].name);
    }
    json += ",\"unchanged\":[" + columns + "]";
  }
  return json + "}";
}

std::string to_line(const Change& change, const Origin& origin, std::string_view topic) {
  const Row key = change.has_key ? Row{change.key_layout, change.key} : Row{};
  std::string line = change.source_ts_us == 0 ? "-" : time_of(change.source_ts_us, ' ');
  line += " " + std::string{name(change.op)} + " " + to_string(*change.relation);
  put_row(line, key, {}, {});
  put_row(line, {change.row_layout, change.row}, key, origin.before);
  return printable(line) + " (" + printable(topic) + "[" + std::to_string(change.partition) + "]@" +
         std::to_string(change.offset.value) + ")";
}

}  // namespace lockstep::event
