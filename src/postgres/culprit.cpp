#include "culprit.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "error.hpp"
#include "parts.hpp"

namespace lockstep::postgres {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds longest_search{5000};

class Search {
 public:
  explicit Search(Applier& applier) : applier_{applier} {}

  /// The SQLSTATE that the changes fail with, "" if they pass; nullopt: no answer, or no time left.
  std::optional<std::string> failure_of(std::span<const Change> changes) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now());
    if (left <= milliseconds{0}) return std::nullopt;
    try {
      const auto tried = translating_errors([&] { applier_.try_out(changes, left); });
      if (tried) return "";
      if (is_about_rows(tried.error().sqlstate)) return tried.error().sqlstate;
    } catch (const Refused&) {  // the target's schema has changed meanwhile
    } catch (const Unfinished&) {
    }
    return std::nullopt;
  }

  /// Which cell of the row or key fails by itself, all others NULL.
  std::optional<std::size_t> failing_cell(const Change& change) {
    Change copy = change;
    auto& cells = is_upsert(change.op) ? copy.row : copy.key;
    const auto original = cells;
    std::vector<Cell> only(original.size());
    cells = only;
    const auto failure = [&] { return failure_of({&copy, 1}); };
    const auto want = failure_of({&change, 1});
    if (!want || want->empty() || failure() == want) return std::nullopt;
    for (std::size_t i = 0; i < only.size(); ++i) {
      if (original[i].is_null()) continue;
      only[i] = original[i];
      if (failure() == want) return i;
      only[i] = Cell{};
    }
    return std::nullopt;
  }

 private:
  Applier& applier_;
  const Clock::time_point deadline_ = Clock::now() + longest_search;
};

/// "t[0]@12..40, t[1]@7..9"
std::string range_of(const Batch& batch, std::span<const Change> changes) {
  std::map<std::int32_t, std::pair<const Change*, const Change*>> ends;  // by partition
  for (const Change& change : changes) {
    ends.try_emplace(change.partition, &change, &change).first->second.second = &change;
  }
  std::string text;
  for (const auto& [partition, first_and_last] : ends) {
    const auto& [first, last] = first_and_last;
    text += (text.empty() ? "" : ", ") + name_of(batch, *first) + ".." +
            std::to_string(last->offset.value);
  }
  return text;
}

/// column "mood" (enum mood) of target table public.t
std::string name_of_column(Applier& applier, const Change& change, std::size_t cell) {
  const Layout& layout = is_upsert(change.op) ? *change.row_layout : *change.key_layout;
  const Relation target = applier.mapping().target_of(*change.relation);
  const std::string name = applier.mapping().name_of(*change.relation, layout.columns[cell].name);
  std::string type;
  const auto looked = translating_errors([&] {
    const auto table = applier.table(target);
    const auto* const column = table ? table->find(name) : nullptr;
    if (column != nullptr) type = (column->kind == 'e' ? "enum " : "") + column->type;
  });
  return "column " + quote_name(name) + (looked && !type.empty() ? " (" + type + ")" : "") +
         " of target table " + to_string(target);
}

}  // namespace

std::optional<RecordPlace> record_of(const Batch& batch, const Change& change) {
  const auto holds = [&](const Slice& slice) {
    return slice.partition.partition == change.partition &&
           (!slice.expected || slice.expected->value <= change.offset.value) &&
           change.offset.value < slice.next.value;
  };
  const auto& slices = batch.slices;
  const auto found = std::find_if(slices.begin(), slices.end(), holds);
  if (found == slices.end() || std::any_of(found + 1, slices.end(), holds)) return std::nullopt;
  return RecordPlace{found->partition, change.offset};
}

std::string name_of(const Batch& batch, const Change& change) {
  const auto record = record_of(batch, change);
  return record ? to_string(record->partition, record->offset)
                : "at offset " + std::to_string(change.offset.value);
}

namespace {

SinkError in_range(Applier& applier, const Batch& batch, const Stuck& stuck) {
  const auto& table = applier.failed_in();
  SinkError error = stuck.error;
  const auto left = std::span{batch.changes}.subspan(stuck.begin, stuck.end - stuck.begin);
  error.message = (table ? "target table " + to_string(*table) : "target") +
                  " can't take one of the records " + range_of(batch, left) + ": " + error.message;
  return error;
}

}  // namespace

SinkError explain(Applier& applier, const Batch& batch, const Stuck& stuck) {
  if (!stuck.is_one()) return in_range(applier, batch, stuck);
  SinkError error = stuck.error;
  const Change& change = batch.changes[stuck.begin];
  error.culprit = record_of(batch, change);
  const std::string record = "record " + name_of(batch, change);
  if (error.sqlstate.empty()) {  // ours
    error.message = record + ", " + error.message;
    return error;
  }
  Search search{applier};
  const auto cell = is_about_values(error.sqlstate) ? search.failing_cell(change) : std::nullopt;
  const std::string what = record + ": " + error.message;
  error.message = cell ? name_of_column(applier, change, *cell) + " can't take the value of " + what
                       : "target table " + to_string(applier.target_of(*change.relation)) +
                             " can't take " + what;
  return error;
}

}  // namespace lockstep::postgres
