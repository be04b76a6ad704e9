# Sets page_files to a .cpp of the files that a browser gets: those in this folder, and Swagger UI's, which are compressed. It is
# written when CMake runs, which a change of these files makes it do again: clang-tidy looks at it in a tree that is only
# configured.
file(GLOB pages CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/*.html
  ${CMAKE_CURRENT_LIST_DIR}/*.css ${CMAKE_CURRENT_LIST_DIR}/*.svg ${CMAKE_CURRENT_LIST_DIR}/*.js
  ${CMAKE_CURRENT_LIST_DIR}/*.json)
set(entries "")

function(add_page_file name file is_compressed) # FILE: what is embedded
  file(READ ${file} hex HEX)
  file(SIZE ${file} size)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${hex}")
  set(entries "${entries}      {\"${name}\", {\"${bytes}\", ${size}}, ${is_compressed}},\n" PARENT_SCOPE)
endfunction()

foreach(name ${pages})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/${name})
  add_page_file(${name} ${CMAKE_CURRENT_LIST_DIR}/${name} false)
endforeach()
foreach(name swagger-ui-bundle.js swagger-ui.css)
  set(file ${PROJECT_SOURCE_DIR}/third_party/swagger-ui/${name})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  set(compressed ${CMAKE_CURRENT_BINARY_DIR}/${name}.gz)
  execute_process(COMMAND gzip -9nc ${file} OUTPUT_FILE ${compressed} COMMAND_ERROR_IS_FATAL ANY)
  add_page_file(${name} ${compressed} true)
endforeach()

set(page_files ${CMAKE_CURRENT_BINARY_DIR}/page_files.cpp)
file(CONFIGURE OUTPUT ${page_files} CONTENT "// Made by src/http/page/page.cmake.
#include \"page_files.hpp\"

#pragma GCC diagnostic ignored \"-Woverlength-strings\"

namespace lockstep::http {

const std::vector<PageFile>& page_files() {
  static const std::vector<PageFile> files{
${entries}  };
  return files;
}

}  // namespace lockstep::http
" @ONLY)
