# wde_tokenizer_rust: the crate rust/tokenizer as a static library with a C ABI, built by cargo.
# All build directories share cargo's one, so the presets compile the crates once.
find_package(Threads REQUIRED)
find_program(WDE_CARGO cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" DOC "cargo, for the tokenizer crate")
if(NOT WDE_CARGO)
  message(FATAL_ERROR "cargo was found neither on PATH nor in $ENV{HOME}/.cargo/bin. The tokenizer is a Rust crate: install a "
                      "Rust toolchain (https://rustup.rs, stable 1.85 or newer) or set WDE_CARGO to the cargo to use.")
endif()

set(wde_crate ${PROJECT_SOURCE_DIR}/rust/tokenizer)
set(wde_cargo_dir ${PROJECT_SOURCE_DIR}/build/cargo)
set(wde_tokenizer_library ${wde_cargo_dir}/release/libwde_tokenizer.a)
file(GLOB wde_crate_sources CONFIGURE_DEPENDS ${wde_crate}/src/*.rs)
list(REMOVE_ITEM wde_crate_sources ${wde_crate}/src/tests.rs)  # only cargo test compiles it

# Always the release profile: a debug build of the crates is many times slower and of no use to those who debug C++.
add_custom_command(
  OUTPUT ${wde_tokenizer_library}
  COMMAND ${WDE_CARGO} build --release --locked --lib --manifest-path ${wde_crate}/Cargo.toml --target-dir ${wde_cargo_dir}
  DEPENDS ${wde_crate_sources} ${wde_crate}/Cargo.toml ${wde_crate}/Cargo.lock
  COMMENT "Building the tokenizer crate (cargo)"
  USES_TERMINAL VERBATIM)
add_custom_target(wde_tokenizer_crate DEPENDS ${wde_tokenizer_library})

add_library(wde_tokenizer_rust STATIC IMPORTED GLOBAL)
add_dependencies(wde_tokenizer_rust wde_tokenizer_crate)
set_target_properties(wde_tokenizer_rust PROPERTIES IMPORTED_LOCATION ${wde_tokenizer_library})
target_include_directories(wde_tokenizer_rust INTERFACE ${wde_crate}/include)
target_link_libraries(wde_tokenizer_rust INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)
