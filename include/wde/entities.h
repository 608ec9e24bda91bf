// Entities: token classes put together to stretches of the text, as transformers' token-classification pipeline does
// (gather_pre_entities, aggregate and group_entities of transformers/pipelines/token_classification.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wde/response.h"

namespace wde {

enum class EntityAggregation {
  kNone,     // an entity a token, label "B-PER"
  kSimple,   // neighbours of one group, by B- and I- tags; the score is the mean
  kFirst,    // the same, but first every word gets one class: that of its first token,
  kAverage,  // that of its tokens' mean,
  kMax,      // or that of the token that is surest
};

// "none", "simple", "first", "average", "max"; nullopt: another name.
std::optional<EntityAggregation> entity_aggregation(std::string_view name);

struct Entity {
  std::string label;  // without B- and I- where tokens are put together
  float score = 0;
  uint32_t begin = 0, end = 0;              // bytes of the text
  uint32_t first_char = 0, past_chars = 0;  // the same in characters (code points)
  size_t token = 0;                         // its first one's place among all tokens, special ones included
  std::string text;                         // that stretch of the text
};

// `response`: of the task token_classify; `labels`: by class. Special tokens are left out, and entities of the labels
// that are `ignored`.
std::vector<Entity> find_entities(const Response& response, const std::vector<std::string>& labels,
                                  EntityAggregation aggregation, const std::vector<std::string>& ignored = {"O"});

}  // namespace wde
