// Adds a backend whose name is taken.
#include "attention/attn_backend.h"
#include "wde/plugin.h"

WDE_PLUGIN() {
  wde::attn_backends().add("flash", []() -> std::unique_ptr<wde::AttnBackend> { return nullptr; });
}
