#pragma once

namespace lockstep {

/// The deleter of a C library's handle: `std::unique_ptr<PGconn, Destroy<&PQfinish>>`.
template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const noexcept {
    destroy(handle);
  }
};

}  // namespace lockstep
