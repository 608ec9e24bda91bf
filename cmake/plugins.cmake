# What plug-ins need: wde/abi.h in the build, the headers and find_package(wde) in an installation, and wde_plugin() for
# those that are built in this tree.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The public headers, and those of the seams: all of src/ but the engine, the frontends, what is compiled once for each
# instruction set, and what is private to one folder.
file(GLOB_RECURSE wde_plugin_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include/wde/*.h
     ${PROJECT_SOURCE_DIR}/src/*.h)
list(FILTER wde_plugin_headers EXCLUDE REGEX "^src/(engine|cli|server|loader/hub)/|-inl\\.h$|/targets\\.h$")

set(wde_generated ${PROJECT_BINARY_DIR}/generated)
set(wde_abi_header ${wde_generated}/wde/abi.h)
list(TRANSFORM wde_plugin_headers PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE wde_plugin_header_files)
string(REPLACE ";" "," wde_plugin_header_list "${wde_plugin_headers}")
file(MAKE_DIRECTORY ${wde_generated}/wde)
add_custom_command(
  OUTPUT ${wde_abi_header}
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} "-DHEADERS=${wde_plugin_header_list}" -DOUTPUT=${wde_abi_header}
          -P ${PROJECT_SOURCE_DIR}/cmake/abi.cmake
  DEPENDS ${wde_plugin_header_files} ${PROJECT_SOURCE_DIR}/cmake/abi.cmake
  COMMENT "Digest of the headers for plug-ins"
  VERBATIM)
add_custom_target(wde_abi DEPENDS ${wde_abi_header})

# wde/server_abi.h: the same of the headers that wde_grpc.so is built against.
file(GLOB_RECURSE wde_server_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include/wde/*.h
     ${PROJECT_SOURCE_DIR}/src/server/*.h)
set(wde_server_abi_header ${wde_generated}/wde/server_abi.h)
list(TRANSFORM wde_server_headers PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE wde_server_header_files)
string(REPLACE ";" "," wde_server_header_list "${wde_server_headers}")
add_custom_command(
  OUTPUT ${wde_server_abi_header}
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} "-DHEADERS=${wde_server_header_list}" -DOUTPUT=${wde_server_abi_header}
          -DMACRO=WDE_SERVER_HEADERS_DIGEST -P ${PROJECT_SOURCE_DIR}/cmake/abi.cmake
  DEPENDS ${wde_server_header_files} ${PROJECT_SOURCE_DIR}/cmake/abi.cmake
  COMMENT "Digest of the server's headers"
  VERBATIM)
add_custom_target(wde_server_abi DEPENDS ${wde_server_abi_header})
add_library(wde_plugin_entry INTERFACE)  # "wde/plugin.h"
target_include_directories(wde_plugin_entry INTERFACE ${wde_generated})
add_dependencies(wde_plugin_entry wde_abi)

# wde_plugin(name source...): a plug-in NAME.so of this tree. What it calls of wde it finds in the program that loads it.
function(wde_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE wde_flags wde_plugin_entry)
  set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
endfunction()

install(DIRECTORY include/wde DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${wde_abi_header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wde)
foreach(header ${wde_plugin_headers})
  if(header MATCHES "^src/(.*)/[^/]*$")
    install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wde/modules/${CMAKE_MATCH_1})
  endif()
endforeach()
configure_package_config_file(cmake/wdeConfig.cmake.in ${PROJECT_BINARY_DIR}/wdeConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wde
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wdeConfigVersion.cmake COMPATIBILITY ExactVersion)
install(FILES ${PROJECT_BINARY_DIR}/wdeConfig.cmake ${PROJECT_BINARY_DIR}/wdeConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wde)
