# cmake -D OUTPUT=page_files.cpp -P embed.cmake: the files of this folder that a browser gets, as C++.
set(pages index.html page.css favicon.svg)
file(GLOB scripts RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/*.js)
list(SORT scripts)

set(entries "")
foreach(name ${pages} ${scripts})
  file(READ ${CMAKE_CURRENT_LIST_DIR}/${name} hex HEX)
  file(SIZE ${CMAKE_CURRENT_LIST_DIR}/${name} size)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${hex}")
  string(APPEND entries "      {\"${name}\", {\"${bytes}\", ${size}}},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made by src/http/page/embed.cmake.
#include \"page_files.hpp\"

namespace lockstep::http {

const std::vector<PageFile>& page_files() {
  static const std::vector<PageFile> files{
${entries}  };
  return files;
}

}  // namespace lockstep::http
")
