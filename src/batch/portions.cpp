#include "lockstep/batch/portions.hpp"

#include <map>

namespace lockstep {

Portions portions_of(const Batch& batch) {
  struct Place {
    const Slice* slice;
    Slice* last = nullptr;
  };
  std::map<std::int32_t, Place> places;
  for (const Slice& slice : batch.slices) places.insert({slice.partition.partition, {&slice}});

  Portions portions;
  portions.of_changes.reserve(batch.changes.size());  // `last` points into it
  for (const Change& change : batch.changes) {
    Place& place = places.at(change.partition);
    Slice& portion = portions.of_changes.emplace_back();
    portion.partition = place.slice->partition;
    portion.expected = place.last == nullptr ? place.slice->expected : place.last->next;
    portion.next = after(change.offset);
    portion.source_ts_us = change.source_ts_us;
    portion.relation = change.relation;
    place.last = &portion;
  }
  for (auto& [partition, place] : places) {
    if (place.last == nullptr) {
      portions.without_changes.push_back(*place.slice);
    } else {
      place.last->next = place.slice->next;
    }
  }
  return portions;
}

}  // namespace lockstep
