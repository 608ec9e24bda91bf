// Pooling of the hidden rows of one text, sentence-transformers' modes.
#pragma once

#include "base/view.h"
#include "loader/sentence_transformers.h"

namespace wde {

// rows [n >= 1, d] -> out [d]. Rows before `skip` are left out (a prompt that the model was trained to ignore);
// position weights keep counting from the text's first row. With no row left the result is what the formulas of the
// reference give: zeros, for max -inf -> zeros.
void pool(Pooling mode, View<const float> rows, size_t skip, float* out) noexcept;

// The rows that all of the modes can do with.
enum class RowsNeeded;
RowsNeeded rows_for(const PoolingSpec& spec) noexcept;

}  // namespace wde
