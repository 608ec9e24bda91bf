// Embedding: rows of a table, read from the checkpoint's file when their token first occurs, so that the rows of tokens
// that never occur cost no memory. The Weights that it came from must outlive it.
//
// The file may change while it is in use. A sum of every block of rows is taken when the table is loaded, and a block
// that is read later must have it: a row is the one that was loaded, or copy() throws.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "loader/weights.h"

namespace wde {

class Embedding {
 public:
  Embedding();
  Embedding(Weights& weights, const std::string& name, size_t rows, size_t cols);
  Embedding(const TensorView& table, size_t cols);  // of Weights::get_table()
  ~Embedding();
  Embedding(Embedding&&) noexcept;
  Embedding& operator=(Embedding&&) noexcept;

  // out = row `id`, which the caller has checked to be inside the table. From any thread. Throws LoadError: the file
  // was changed, or cannot be read.
  void copy(size_t id, float* out) const;

 private:
  class Rows;
  const TensorView* table_ = nullptr;
  size_t cols_ = 0;
  std::unique_ptr<Rows> rows_;  // nullptr: the table is in memory
};

// The same for small tables that every token reads (positions, segments): float32 in memory, added to the row.
class AddedEmbedding {
 public:
  AddedEmbedding() = default;
  AddedEmbedding(Weights& weights, const std::string& name, size_t rows, size_t cols) : cols_(cols) {
    const TensorView& table = weights.get(name, {rows, cols});  // before there is memory of a size that nothing bounds
    table_.resize(rows * cols);
    to_float32(table, 0, table_.size(), table_.data());
  }

  void add(size_t id, float* out) const noexcept { kernels::add(table_.data() + id * cols_, out, cols_); }
  size_t bytes() const { return table_.size() * sizeof(float); }

 private:
  std::vector<float> table_;
  size_t cols_ = 0;
};

}  // namespace wde
