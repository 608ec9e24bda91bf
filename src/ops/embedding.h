// Embedding: rows of a table, read where the checkpoint file lies (any float dtype), so that the rows of tokens that
// never occur cost no memory. The Weights that it came from must outlive it.
#pragma once

#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "loader/weights.h"

namespace wde {

class Embedding {
 public:
  Embedding() = default;
  Embedding(Weights& weights, const std::string& name, size_t rows, size_t cols)
      : table_(&weights.get(name, {rows, cols})), cols_(cols) {}

  // out = row `id`, which the caller has checked to be inside the table.
  void copy(size_t id, float* out) const noexcept { to_float32(*table_, id * cols_, cols_, out); }

 private:
  const TensorView* table_ = nullptr;
  size_t cols_ = 0;
};

// The same for small tables that every token reads (positions, segments): float32 in memory, added to the row.
class AddedEmbedding {
 public:
  AddedEmbedding() = default;
  AddedEmbedding(Weights& weights, const std::string& name, size_t rows, size_t cols)
      : table_(rows * cols), cols_(cols) {
    to_float32(weights.get(name, {rows, cols}), 0, table_.size(), table_.data());
  }

  void add(size_t id, float* out) const noexcept { kernels::add(table_.data() + id * cols_, out, cols_); }
  size_t bytes() const { return table_.size() * sizeof(float); }

 private:
  std::vector<float> table_;
  size_t cols_ = 0;
};

}  // namespace wde
