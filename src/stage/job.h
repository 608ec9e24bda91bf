// The plain structs from the scheduler on: a batch, what the model reads, what it writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/view.h"
#include "stage/sequence.h"

namespace wde {

// Which rows of the last layer the output needs; the model computes no others behind the last layer's attention.
enum class RowsNeeded { kAll, kFirst, kLast };

// Packed tokens of a batch: sequence s is at [cu_seqlens[s], cu_seqlens[s + 1]). No padding.
struct ModelInput {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;
  std::vector<int32_t> positions;   // of each token in its sequence, from 0
  std::vector<int32_t> cu_seqlens;  // sequences + 1 entries, from 0
  size_t max_seqlen = 0;            // with the borrowed tokens
  // Where sequences of a causal model begin alike, one of them has the tokens and the others borrow its keys and
  // values: the first prefix_lens[s] tokens of sequence s are those at the packed rows from prefix_rows[s] on, and its
  // own rows, at cu_seqlens, are the rest. Empty: every sequence has all its tokens.
  std::vector<int32_t> prefix_rows, prefix_lens;
  std::vector<int32_t> unseen_lens;  // so many tokens at each sequence's end are attended to by none; empty: nowhere
  RowsNeeded rows = RowsNeeded::kAll;
  // With rows other than kAll: the packed row that each sequence needs, its position, and 0, 1, 2, …, sequences.
  std::vector<int32_t> row_indices, row_positions, cu_rows;

  // For a model with towers: the batch's texts and its images by themselves. Of a part: which of the batch's sequences
  // it has, and their images.
  enum : size_t { kTexts, kImages, kParts };
  std::vector<ModelInput> parts;
  std::vector<int32_t> part_sequences;
  std::vector<const Pixels*> images;

  size_t tokens() const { return ids.size(); }
  size_t sequences() const { return cu_seqlens.empty() ? 0 : cu_seqlens.size() - 1; }
  size_t output_rows() const { return rows == RowsNeeded::kAll ? tokens() : sequences(); }
};

// A matrix that grows and is reused. Its rows stay as they are when it is asked for the same size again.
class ReusedMatrix {
 public:
  // Allocates only if an earlier call did not ask for as much, or for so much more that it is not kept.
  View<float> resize(size_t rows, size_t cols) {
    const bool fits = rows <= buffer_.view().rows && cols == buffer_.view().cols;
    if (!fits || (buffer_.bytes() > kKeptBytes && rows < buffer_.view().rows / 4)) {
      buffer_ = {};
      buffer_ = Matrix(rows, cols);
    }
    rows_ = rows;
    return view();
  }
  View<float> view() { return buffer_.view().slice_rows(0, rows_); }

 private:
  // One batch of many short texts has gigabytes of a sparse model's weights, a row of its vocabulary each.
  static constexpr size_t kKeptBytes = size_t{64} << 20;

  Matrix buffer_;
  size_t rows_ = 0;
};

// What the model writes. Last hidden states, [output_rows, hidden_size]: sequence s has rows [cu[s], cu[s + 1]) of
// cu_seqlens, or row s where one row was needed.
class ModelOutput {
 public:
  View<float> resize(size_t rows, size_t cols) { return hidden_.resize(rows, cols); }
  View<float> hidden() { return hidden_.view(); }
  // The rows between layers, [tokens, hidden_size], where the output has fewer.
  View<float> resize_state(size_t rows, size_t cols) { return state_.resize(rows, cols); }
  View<float> state() { return state_.view(); }
  // What a head made of the hidden states: rows of its own layout.
  View<float> resize_result(size_t rows, size_t cols) { return result_.resize(rows, cols); }
  View<float> result() { return result_.view(); }
  // Of ModelInput's part of this number.
  ModelOutput& part(size_t index) {
    while (parts_.size() <= index) parts_.push_back(std::make_unique<ModelOutput>());
    return *parts_[index];
  }

 private:
  ReusedMatrix hidden_, state_, result_;
  std::vector<std::unique_ptr<ModelOutput>> parts_;
};

// One batch on its way through builder, executor and output; reused from batch to batch.
struct Job {
  std::vector<Sequence> batch;
  ModelInput input;
  ModelOutput output;
  std::string error;  // of the execution; empty: it went well
  Clock::time_point started, finished;
  Clock::duration busy{};  // time of the threads that executed it
};

}  // namespace wde
