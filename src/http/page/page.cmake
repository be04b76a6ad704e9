# Sets page_files to a .cpp of the files in this folder that a browser gets. It is written when CMake runs, which a change
# of these files makes it do again: clang-tidy looks at it in a tree that is only configured.
file(GLOB pages CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/*.html
  ${CMAKE_CURRENT_LIST_DIR}/*.css ${CMAKE_CURRENT_LIST_DIR}/*.svg ${CMAKE_CURRENT_LIST_DIR}/*.js
  ${CMAKE_CURRENT_LIST_DIR}/*.json)
set(entries "")
foreach(name ${pages})
  set(file ${CMAKE_CURRENT_LIST_DIR}/${name})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} hex HEX)
  file(SIZE ${file} size)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${hex}")
  string(APPEND entries "      {\"${name}\", {\"${bytes}\", ${size}}},\n")
endforeach()
set(page_files ${CMAKE_CURRENT_BINARY_DIR}/page_files.cpp)
file(CONFIGURE OUTPUT ${page_files} CONTENT "// Made by src/http/page/page.cmake.
#include \"page_files.hpp\"

namespace lockstep::http {

const std::vector<PageFile>& page_files() {
  static const std::vector<PageFile> files{
${entries}  };
  return files;
}

}  // namespace lockstep::http
" @ONLY)
