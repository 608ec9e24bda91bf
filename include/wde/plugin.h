// The entry of a plug-in: a shared object that adds modules, models or workflows to wde, or replaces them by name.
// docs/plugins.md says how to build one. In exactly one of its source files:
//
//   #include "attention/attn_backend.h"                          // a seam's header, installed beside this one
//   #include "wde/plugin.h"
//
//   WDE_PLUGIN() { wde::attn_backends().add("mine", [] { return std::make_unique<Mine>(); }); }
//
// The body may throw: its message becomes the LoadError of whoever asked for the plug-in. Static objects must not: they
// are made before anything has been checked.
#pragma once

#include <cstddef>  // the C++ library's macros

#include "wde/abi.h"

#define WDE_PLUGIN_TEXT_OF(x) #x
#define WDE_PLUGIN_TEXT(x) WDE_PLUGIN_TEXT_OF(x)

// What a plug-in and the program that loads it must have in common: the text of the seams' headers, since a plug-in
// derives from their classes, and the C++ library's and compiler's conventions.
#define WDE_PLUGIN_ABI          \
  "headers " WDE_HEADERS_DIGEST \
  ", C++ ABI " WDE_PLUGIN_TEXT(__GXX_ABI_VERSION) ", libstdc++ strings " WDE_PLUGIN_TEXT(_GLIBCXX_USE_CXX11_ABI)

#define WDE_PLUGIN()                                                                                        \
  extern "C" __attribute__((visibility("default"))) const char* wde_plugin_abi() { return WDE_PLUGIN_ABI; } \
  extern "C" __attribute__((visibility("default"))) void wde_plugin_register()
