// Entities: token classes put together to stretches of the text, as transformers' token-classification pipeline does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wde/response.h"

namespace wde {

enum class EntityAggregation {
  kNone,    // an entity a token, label "B-PER"
  kSimple,  // neighbours of one group, by B- and I- tags; the score is the mean
};

struct Entity {
  std::string label;  // without B- and I- where tokens are put together
  float score = 0;
  uint32_t begin = 0, end = 0;  // bytes of the text
};

// `response`: of the task token_classify. Special tokens and tokens of the class "O" are left out.
std::vector<Entity> find_entities(const Response& response, const std::vector<std::string>& labels,
                                  EntityAggregation aggregation);

}  // namespace wde
