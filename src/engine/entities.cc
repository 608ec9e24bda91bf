#include "wde/entities.h"

#include <algorithm>

namespace wde {
namespace {

struct Tag {
  bool begins = false;
  std::string_view group;
};

// "B-PER" -> begins, "PER"; "I-PER" -> continues, "PER"; "PER" -> continues, "PER".
Tag tag_of(std::string_view label) {
  if (label.starts_with("B-")) return {true, label.substr(2)};
  if (label.starts_with("I-")) return {false, label.substr(2)};
  return {false, label};
}

}  // namespace

std::vector<Entity> find_entities(const Response& response, const std::vector<std::string>& labels,
                                  EntityAggregation aggregation) {
  std::vector<Entity> out;
  const auto probs = std::find_if(response.outputs.begin(), response.outputs.end(),
                                  [](const Output& output) { return output.name == "probs"; });
  if (probs == response.outputs.end() || probs->shape.size() != 2) return out;
  const size_t tokens = probs->shape[0], classes = probs->shape[1];
  size_t joined = 0;  // tokens in the last entity; 0: it is closed
  for (size_t t = 0; t < tokens; ++t) {
    const float* row = probs->values.data() + t * classes;
    const auto best = static_cast<size_t>(std::max_element(row, row + classes) - row);
    if (response.details.special_tokens_mask[t] != 0) continue;
    if (labels[best] == "O") {
      joined = 0;
      continue;
    }
    const Offset& offset = response.details.offsets[t];
    const Tag tag = tag_of(labels[best]);
    const bool joins =
        aggregation == EntityAggregation::kSimple && joined > 0 && !tag.begins && out.back().label == tag.group;
    if (joins) {
      Entity& entity = out.back();
      entity.score = (entity.score * static_cast<float>(joined) + row[best]) / static_cast<float>(joined + 1);
      entity.end = offset.end;
      ++joined;
      continue;
    }
    const bool whole = aggregation == EntityAggregation::kNone;
    out.push_back({whole ? labels[best] : std::string(tag.group), row[best], offset.begin, offset.end});
    joined = 1;
  }
  return out;
}

}  // namespace wde
