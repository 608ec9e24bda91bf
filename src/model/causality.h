// Who decides whether attention is causal. First that speaks: the --attention flag, config.json's is_causal,
// use_bidirectional_attention, causal (Nomic), the architecture's default.
#pragma once

#include <string>

#include "loader/config.h"

namespace wde {

struct Causality {
  bool bidirectional = true;
  std::string rule;  // "config.json: is_causal", for logs and doctor
};

Causality resolve_causality(const std::string& flag, const ConfigView& config, bool causal_by_default);

}  // namespace wde
