#pragma once

#include <string_view>
#include <vector>

namespace lockstep::http {

/// A file of src/http/page or of Swagger UI, as it was when this was built.
struct PageFile {
  std::string_view name;
  std::string_view content;
  bool is_compressed = false;  ///< by gzip
};

const std::vector<PageFile>& page_files();

}  // namespace lockstep::http
