// Packing of sequences one behind the other, for the builders.
#pragma once

#include <cstdint>
#include <span>

#include "stage/job.h"

namespace wde {

void begin_packing(RowsNeeded rows, ModelInput& input);
// Behind what is packed already, without the first `prefix` tokens.
void pack(const Sequence& s, int32_t prefix, ModelInput& input);
// All of a batch, without the first prefix_lens[s] tokens of each; all tokens if that is empty.
void pack_sequences(std::span<const Sequence> batch, RowsNeeded rows, std::span<const int32_t> prefix_lens,
                    ModelInput& input);

}  // namespace wde
