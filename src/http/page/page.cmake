# Sets page_files to the .cpp that embed.cmake makes, anew whenever a file changes.
set(page_files ${CMAKE_CURRENT_BINARY_DIR}/page_files.cpp)
file(GLOB page_sources CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_LIST_DIR}/*.html ${CMAKE_CURRENT_LIST_DIR}/*.css ${CMAKE_CURRENT_LIST_DIR}/*.svg ${CMAKE_CURRENT_LIST_DIR}/*.js)
add_custom_command(OUTPUT ${page_files}
  COMMAND ${CMAKE_COMMAND} -D OUTPUT=${page_files} -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
  DEPENDS ${page_sources} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
  COMMENT "Embedding the live page")
