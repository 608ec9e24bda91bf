// What only a model that is being loaded can say about settings: those that it cannot honour are refused.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "loader/weight_format.h"
#include "tokenizer/tokenizer.h"

namespace wde {

// Each entry of --float32-layers must mean a tensor, and the others must not be float32 anyway. Throws UsageError.
void check_float32_layers(const WeightPolicy& policy, const std::vector<std::string>& tensors);

// A text, or a pair, that special tokens leave no room for would be answered like any other. Throws UsageError.
// `positions`: the most tokens that the model takes.
void check_room_for_texts(const Tokenizer& tokenizer, size_t max_length, size_t positions, bool pairs);

}  // namespace wde
