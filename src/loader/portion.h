// Portion: what one of several processes keeps of a model that they compute together: some of its layers, or a share of
// every layer's columns.
#pragma once

#include <cstddef>

#include "base/team.h"

namespace wde {

struct Portion {
  enum class Of { kWhole, kLayers, kColumns };
  Of of = Of::kWhole;
  size_t rank = 0, size = 1;

  Range layers(size_t count) const { return of == Of::kLayers ? share_of(count, 1, rank, size) : Range{0, count}; }
  // Borders fall on multiples of `unit`.
  Range columns(size_t count, size_t unit) const {
    return of == Of::kColumns ? share_of(count, unit, rank, size) : Range{0, count};
  }
};

}  // namespace wde
