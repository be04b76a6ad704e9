#include "evolve.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace lockstep::postgres {

namespace {

bool contains(const ColumnNames& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::ptrdiff_t place_of(const ColumnNames& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) - names.begin();
}

/// Which of `names` stand between two others; either may be missing: from the begin, to the end.
ColumnNames between(const ColumnNames& names, const std::optional<std::string>& first,
                    const std::optional<std::string>& last) {
  const auto begin = names.begin() + (first ? place_of(names, *first) + 1 : 0);
  const auto end = last ? names.begin() + place_of(names, *last) : names.end();
  return begin < end ? ColumnNames(begin, end) : ColumnNames{};
}

std::string list_of(const ColumnNames& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + quote_name(name);
  return text;
}

std::string alter(const TargetTable& table, const std::string& action) {
  return "ALTER TABLE " + quoted_name(table.name) + " " + action;
}

bool is_any_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

/// "1970-01-01 00:00:00+00" and the like: what Debezium sends for now().
bool is_epoch(std::string_view text) {
  return text.starts_with("1970-01-01") &&
         text.substr(10).find_first_not_of("0:. +TZ") == std::string_view::npos;
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of("0-+.PYMDTHS:") == std::string_view::npos;
}

/// Whether the columns that both have stand in different orders.
bool is_of_another_order(const ColumnNames& table, const ColumnNames& row) {
  std::ptrdiff_t last = -1;
  for (const auto& name : row) {
    if (!contains(table, name)) continue;
    if (place_of(table, name) < last) return true;
    last = place_of(table, name);
  }
  return false;
}

/// Where places say nothing.
NewColumns unordered(const ColumnNames& table, const ColumnNames& row) {
  NewColumns result;
  for (const auto& name : row) {
    if (!contains(table, name)) result.unclear.push_back(name);
  }
  for (const auto& name : table) {
    if (!contains(row, name) && !result.unclear.empty()) result.gone.push_back(name);
  }
  if (result.gone.empty()) std::swap(result.added, result.unclear);
  return result;
}

/// Types whose defaults Debezium never tells.
bool hides_default(const Column& column) {
  return column.type == ValueType::bytes || column.type == ValueType::timetz ||
         column.type == ValueType::point || column.type == ValueType::unsupported ||
         column.declared.starts_with('_') ||
         is_any_of(column.declared, {"MONEY", "HSTORE", "CITEXT", "LTREE", "INET", "CIDR",
                                     "MACADDR", "MACADDR8", "OID", "TSVECTOR", "NAME", "CHAR"});
}

}  // namespace

ColumnNames column_names(const Layout& layout) {
  ColumnNames names;
  for (const auto& column : layout.columns) names.push_back(column.name);
  return names;
}

DefaultTrust trust_of_default(const Column& column) {
  if (!column.default_value || column.is_array) return DefaultTrust::none;
  const std::string& text = *column.default_value;
  switch (column.type) {
    case ValueType::boolean:
      return text == "f" ? DefaultTrust::perhaps : DefaultTrust::value;
    case ValueType::integer:
    case ValueType::floating:
    case ValueType::numeric:
      if (column.declared.ends_with("SERIAL")) return DefaultTrust::none;  // nextval()
      return is_zero(text) ? DefaultTrust::perhaps : DefaultTrust::value;
    case ValueType::bits:
    case ValueType::varbits:
      return is_zero(text) ? DefaultTrust::perhaps : DefaultTrust::value;
    case ValueType::text:
      if (column.declared == "UUID")
        return is_zero(text) ? DefaultTrust::none : DefaultTrust::value;
      // The expression itself, where there is no quote in it.
      if (text.find("::") != std::string::npos ||
          is_any_of(text, {"CURRENT_USER", "SESSION_USER", "CURRENT_ROLE", "CURRENT_CATALOG",
                           "CURRENT_SCHEMA", "USER"})) {
        return DefaultTrust::none;
      }
      return text.empty() || text == "{}" ? DefaultTrust::perhaps : DefaultTrust::value;
    case ValueType::date:
    case ValueType::timestamp:
    case ValueType::timestamptz:
      return is_epoch(text) ? DefaultTrust::none : DefaultTrust::value;
    case ValueType::time:
      return is_zero(text) ? DefaultTrust::perhaps : DefaultTrust::value;
    case ValueType::interval:
      return is_zero(text) ? DefaultTrust::none : DefaultTrust::value;
    case ValueType::bytes:
    case ValueType::timetz:
    case ValueType::point:
    case ValueType::untyped:
    case ValueType::unsupported:
      return DefaultTrust::none;
  }
  return DefaultTrust::none;
}

NewColumns explain_new_columns(const ColumnNames& table, const std::optional<ColumnNames>& before,
                               const ColumnNames& row) {
  // The order at the source, as far as it is known.
  const ColumnNames& order = before ? *before : table;
  const auto is_anchor = [&](const std::string& name) {
    return contains(order, name) && contains(row, name) && contains(table, name);
  };
  NewColumns result;
  if (!before && is_of_another_order(table, row)) return unordered(table, row);
  std::optional<std::string> last_anchor;
  for (std::size_t i = 0; i < row.size();) {
    if (is_anchor(row[i])) {
      last_anchor = row[i++];
      continue;
    }
    ColumnNames fresh;
    for (; i < row.size() && !is_anchor(row[i]); ++i) {
      if (!contains(table, row[i])) fresh.push_back(row[i]);
    }
    if (fresh.empty()) continue;
    const auto next_anchor = i < row.size() ? std::optional{row[i]} : std::nullopt;
    ColumnNames gone = between(order, last_anchor, next_anchor);
    std::erase_if(gone, [&](const std::string& name) {
      return contains(row, name) || !contains(table, name);
    });
    if (gone.empty()) {
      result.added.insert(result.added.end(), fresh.begin(), fresh.end());
    } else if (next_anchor && gone.size() == fresh.size()) {
      for (std::size_t n = 0; n < gone.size(); ++n) result.renamed.push_back({gone[n], fresh[n]});
    } else {
      result.unclear.insert(result.unclear.end(), fresh.begin(), fresh.end());
      result.gone.insert(result.gone.end(), gone.begin(), gone.end());
    }
  }
  return result;
}

namespace {

class Evolver {
 public:
  explicit Evolver(const Evolving& evolving) : in_{evolving}, table_{evolving.table} {}

  Evolution run() {
    const NewColumns columns =
        explain_new_columns(source_columns(), in_.before, column_names(in_.row));
    if (!columns.unclear.empty()) tell_unclear(columns);
    warn_of_new_places();
    warn_of_columns_of_another_origin();
    for (const auto& [from, to] : columns.renamed) rename(from, to);
    for (std::size_t i = 0; i < in_.row.columns.size(); ++i) {
      const Column& column = in_.row.columns[i];
      if (contains(columns.unclear, column.name)) continue;
      if (const TargetColumn* const have = table_.find(column.name)) {
        alter_column(column, *have, in_.types[i]);
      } else {
        add(column, in_.types[i]);
      }
    }
    free_columns_that_get_no_value(columns);
    if (!in_.synced_at.empty() && table_.find(in_.synced_at) == nullptr) {
      actions_.push_back("ADD COLUMN " + quote_name(in_.synced_at) + " timestamptz");
    }
    if (!actions_.empty()) {
      std::string all;
      for (const auto& action : actions_) all += (all.empty() ? "" : ", ") + action;
      out_.statements.push_back(alter(table_, all));
    }
    return std::move(out_);
  }

 private:
  ColumnNames source_columns() const {
    ColumnNames names;
    for (const auto& column : in_.table.columns) {
      if (column.name != in_.synced_at) names.push_back(column.name);
    }
    return names;
  }

  /// A column that was dropped and made anew has its old name and another place.
  void warn_of_new_places() {
    if (!in_.before || !in_.has_rows) return;
    std::ptrdiff_t last = -1;
    for (const auto& name : column_names(in_.row)) {
      if (!contains(*in_.before, name)) continue;
      const auto place = place_of(*in_.before, name);
      if (place < last) {
        out_.warnings.push_back("column " + quote_name(name) +
                                " was dropped and made anew at the source: the rows that are there "
                                "keep the old column's values");
      }
      last = std::max(last, place);
    }
  }

  /// Made at the target before, or kept there when the source dropped one of that name.
  void warn_of_columns_of_another_origin() {
    if (!in_.before || !in_.has_rows) return;
    for (const auto& column : in_.row.columns) {
      if (contains(*in_.before, column.name) || in_.table.find(column.name) == nullptr) continue;
      out_.warnings.push_back("column " + quote_name(column.name) +
                              " is new at the source, and the target has it already: the rows that "
                              "are there keep what is in it");
    }
  }

  void tell_unclear(const NewColumns& columns) {
    std::string choices;
    for (const auto& gone : columns.gone) {
      choices += alter(in_.table, "RENAME COLUMN " + quote_name(gone) + " TO " +
                                      quote_name(columns.unclear.front())) +
                 ", or ";
    }
    for (std::size_t i = 0; i < in_.row.columns.size(); ++i) {
      if (in_.row.columns[i].name != columns.unclear.front()) continue;
      choices += alter(
          in_.table, "ADD COLUMN " + quote_name(columns.unclear.front()) + " " + in_.types[i].sql);
    }
    out_.errors.push_back({"has no column " + list_of(columns.unclear) +
                           ", and the source has no " + list_of(columns.gone) +
                           " any more: was it renamed, or dropped and another one added? Run " +
                           choices});
  }

  void rename(const std::string& from, const std::string& to) {
    out_.statements.push_back(
        alter(in_.table, "RENAME COLUMN " + quote_name(from) + " TO " + quote_name(to)));
    for (auto& column : table_.columns) {
      if (column.name == from) column.name = to;
    }
    for (auto& column : table_.primary_key) {
      if (column == from) column = to;
    }
  }

  void add(const Column& column, const ColumnType& type) {
    std::string action = "ADD COLUMN " + quote_name(column.name) + " " + type.sql;
    const auto trust = trust_of_default(column);
    // Rows from before the column have its default, others a value of their own.
    const bool is_filled = trust != DefaultTrust::none && !(in_.has_rows && was_there(column));
    if (is_filled) action += " DEFAULT " + quote_text(*column.default_value);
    if (!column.optional && (is_filled || !in_.has_rows)) action += " NOT NULL";
    actions_.push_back(std::move(action));
    if (in_.has_rows) warn_of_added(column, trust);
  }

  bool was_there(const Column& column) const {
    return in_.before && contains(*in_.before, column.name);
  }

  void warn_of_added(const Column& column, DefaultTrust trust) {
    const std::string name = "column " + quote_name(column.name) + " is new: ";
    if (was_there(column)) {
      out_.warnings.push_back(name +
                              "the source had it before, its values in the rows that are "
                              "there are not known");
    } else if (trust == DefaultTrust::perhaps) {
      out_.warnings.push_back(name + "the rows that are there get its default, " +
                              quote_text(*column.default_value) +
                              "; if that is a function at the source, they are wrong");
    } else if (trust == DefaultTrust::value && !in_.before) {
      out_.warnings.push_back(name + "the rows that are there get its default, " +
                              quote_text(*column.default_value) +
                              ", which is wrong if the source had the column before");
    } else if (trust == DefaultTrust::none && (column.default_value || !column.optional)) {
      out_.warnings.push_back(name +
                              "the rows that are there get NULL, since Debezium does not "
                              "tell the values that the source gave them");
    } else if (trust == DefaultTrust::none && hides_default(column)) {
      out_.warnings.push_back(name +
                              "the rows that are there get NULL; if it has a default at the "
                              "source they are wrong: Debezium does not tell one of this "
                              "type");
    }
  }

  void alter_column(const Column& column, const TargetColumn& have, const ColumnType& want) {
    if (have.generated) return;
    const std::string name = quote_name(column.name);
    const auto fit = compare(have, want.column);
    if (fit == TypeFit::widens && tells_type(column)) {
      loosen("ALTER COLUMN " + name + " TYPE " + want.sql);
    } else if (!can_take(column, have, in_.modes) && column.type != ValueType::untyped) {
      out_.errors.push_back({"has column " + name + " (" + have.type +
                             "), which can't take the source's " + column.described + ": " +
                             alter(in_.table, "ALTER COLUMN " + name + " TYPE " + want.sql +
                                                  " USING " + name + "::" + want.sql) +
                             ", if that is what the source did with its rows"});
    }
    if (column.optional && have.not_null && column.type != ValueType::untyped &&
        !is_key(column.name)) {
      loosen("ALTER COLUMN " + name + " DROP NOT NULL");
    }
  }

  /// For values that may come.
  void loosen(std::string action) {
    if (in_.is_owned) {
      actions_.push_back(std::move(action));
    } else {
      out_.warnings.push_back("the source can send what it does not take, and only its owner may " +
                              alter(in_.table, action));
    }
  }

  /// Whether the message says more of the type than that its values are of a kind.
  bool tells_type(const Column& column) const {
    if (!own_type(column, in_.modes)) return false;
    return !column.source_type.empty() || column.type == ValueType::integer ||
           column.type == ValueType::floating ||
           (column.type == ValueType::numeric && column.length.has_value());
  }

  bool is_key(const std::string& column) const { return contains(table_.primary_key, column); }

  void free_columns_that_get_no_value(const NewColumns& columns) {
    const auto sent = column_names(in_.row);
    for (const auto& column : table_.columns) {
      if (!column.wants_value || column.name == in_.synced_at || contains(sent, column.name) ||
          contains(columns.gone, column.name) || is_key(column.name)) {
        continue;
      }
      actions_.push_back("ALTER COLUMN " + quote_name(column.name) + " DROP NOT NULL");
    }
  }

  const Evolving& in_;
  TargetTable table_;  // as it will be called
  std::vector<std::string> actions_;
  Evolution out_;
};

}  // namespace

Evolution evolve(const Evolving& evolving) {
  return Evolver{evolving}.run();
}

}  // namespace lockstep::postgres
