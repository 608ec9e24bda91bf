// What an engine has done since it began, in counts that only grow.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wde {

struct EngineStatistics {
  static constexpr std::array<std::string_view, 6> kStages = {"input", "tokenize", "schedule",
                                                              "build", "execute",  "output"};
  // [i]: how many batches had more than 2^(i-1) and at most 2^i of it; the last: all that were larger.
  using Sizes = std::array<uint64_t, 22>;

  Sizes batches_by_texts{};
  Sizes batches_by_tokens{};
  uint64_t texts = 0;   // that were in executed batches
  uint64_t tokens = 0;  // likewise, special ones included
  // That padding every text to its batch's longest would have added.
  uint64_t padding_saved = 0;
  // Seconds that threads were busy with each stage, summed over threads; "output" includes the callbacks.
  std::array<double, kStages.size()> busy_seconds{};

  // By how much estimates of a batch's time were off lately: mean of |estimated / measured - 1|.
  double cost_error = 0;

  // As they are now.
  size_t waiting = 0;  // texts that were submitted and are in no batch yet
  size_t workers = 0;  // threads that execute

  EngineStatistics& operator+=(const EngineStatistics& other) {
    for (size_t i = 0; i < batches_by_texts.size(); ++i) batches_by_texts[i] += other.batches_by_texts[i];
    for (size_t i = 0; i < batches_by_tokens.size(); ++i) batches_by_tokens[i] += other.batches_by_tokens[i];
    texts += other.texts;
    tokens += other.tokens;
    padding_saved += other.padding_saved;
    for (size_t i = 0; i < busy_seconds.size(); ++i) busy_seconds[i] += other.busy_seconds[i];
    cost_error = std::max(cost_error, other.cost_error);
    waiting += other.waiting;
    workers += other.workers;
    return *this;
  }
};

}  // namespace wde
