#include "model/causality.h"

namespace wde {

Causality resolve_causality(const std::string& flag, const ConfigView& config, bool causal_by_default) {
  if (flag == "causal" || flag == "bidirectional") return {flag == "bidirectional", "--attention"};
  if (config.has("is_causal")) return {!config.boolean("is_causal"), "is_causal in config.json"};
  if (config.has("use_bidirectional_attention")) {
    return {config.boolean("use_bidirectional_attention"), "use_bidirectional_attention in config.json"};
  }
  if (config.has("causal")) return {!config.boolean("causal"), "causal in config.json"};
  return {!causal_by_default, "the architecture's default"};
}

}  // namespace wde
