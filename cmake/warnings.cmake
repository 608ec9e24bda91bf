# wde_flags: what every target of the project is compiled with.
add_library(wde_flags INTERFACE)
target_include_directories(wde_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_options(wde_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
                                           -fno-math-errno -fvisibility=default)
if(WDE_WERROR)
  target_compile_options(wde_flags INTERFACE -Werror)
endif()
if(WDE_SANITIZE)
  target_compile_definitions(wde_flags INTERFACE WDE_FEW_TARGETS)
  # A target's property WDE_SANITIZE_NOT takes some of it back.
  target_compile_options(wde_flags INTERFACE -fsanitize=${WDE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
                         $<TARGET_PROPERTY:WDE_SANITIZE_NOT>)
  target_link_options(wde_flags INTERFACE -fsanitize=${WDE_SANITIZE})
endif()
