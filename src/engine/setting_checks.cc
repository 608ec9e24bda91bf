#include "engine/setting_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "wde/result.h"

namespace wde {

void check_float32_layers(const WeightPolicy& policy, const std::vector<std::string>& tensors) {
  if (policy.float32_names().empty()) return;
  if (policy.format() == WeightFormat::kFloat32) {
    throw UsageError("--float32-layers says what stays in float32 with --dtype bfloat16 or int8, and this is float32");
  }
  for (const std::string& entry : policy.float32_names()) {
    const bool numbered = entry.find_first_not_of("0123456789") == std::string::npos;
    const bool known = std::any_of(tensors.begin(), tensors.end(), [&](const std::string& tensor) {
      if (!numbered) return tensor.find(entry) != std::string::npos;
      const std::optional<size_t> layer = layer_of_tensor(tensor);
      return layer && fmt::to_string(*layer) == entry;
    });
    if (known) continue;
    throw UsageError(fmt::format("--float32-layers: the model has no {} {}; one of its tensors is called {}",
                                 numbered ? "layer" : "tensor with this in its name:", entry,
                                 tensors.empty() ? "nothing" : tensors[tensors.size() / 2]));
  }
}

void check_room_for_texts(const Tokenizer& tokenizer, size_t max_length, size_t positions, bool pairs) {
  TokenizeJob job;
  job.is_pair = pairs;
  const std::vector<Result<Sequence>> empty = tokenizer.encode({&job, 1}, positions, false);
  if (!empty[0].ok()) return;
  const size_t special = empty[0].value().ids.size(), texts = pairs ? 2 : 1;
  if (max_length >= special + texts) return;
  throw UsageError(fmt::format("--max-length is {}, but {} of a {}'s tokens are special ones: at least {} is needed",
                               max_length, special, pairs ? "pair" : "text", special + texts));
}

}  // namespace wde
