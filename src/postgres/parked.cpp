#include "lockstep/postgres/parked.hpp"

#include "applier.hpp"
#include "error.hpp"
#include "targets.hpp"

namespace lockstep::postgres {

class ParkedRows::Impl {
 public:
  explicit Impl(SinkConfig config) : config_{std::move(config)} { config_.parks_keys = true; }

  Result<std::vector<ParkedRow>, SinkError> list() {
    std::vector<ParkedRow> rows;
    try {
      auto listed = translating_errors([&] { rows = applier().parked_rows(); });
      if (!listed) return with_rights(listed.error());
      return rows;
    } catch (const Refused& refused) {
      return SinkError{SinkError::Kind::refused, refused.message};
    }
  }

  Result<Done, SinkError> release(const ParkedRow& row, const Batch& changes) {
    try {
      auto released = translating_errors([&] { applier().release(row, changes); });
      if (!released) return with_rights(released.error());
      return released;
    } catch (const Refused& refused) {
      return SinkError{SinkError::Kind::refused, refused.message};
    } catch (const Moved&) {
      return SinkError{SinkError::Kind::moved,
                       "another change of the row has come meanwhile, or it was let go: try again"};
    }
  }

 private:
  Applier& applier() {
    if (!applier_) applier_ = std::make_unique<Applier>(config_, std::make_shared<SharedTables>());
    return *applier_;
  }

  SinkConfig config_;
  std::unique_ptr<Applier> applier_;
};

ParkedRows::ParkedRows(SinkConfig config) : impl_{std::make_unique<Impl>(std::move(config))} {}
ParkedRows::~ParkedRows() = default;

Result<std::vector<ParkedRow>, SinkError> ParkedRows::list() {
  return impl_->list();
}
Result<Done, SinkError> ParkedRows::release(const ParkedRow& row, const Batch& changes) {
  return impl_->release(row, changes);
}

}  // namespace lockstep::postgres
