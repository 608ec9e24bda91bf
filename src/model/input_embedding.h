// InputEmbedding: token ids -> the first hidden states. Every part but the words is optional; an architecture's file
// fills what it has.
#pragma once

#include <cmath>

#include "base/arena.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "stage/job.h"

namespace wde {

struct InputEmbedding {
  Embedding word;
  float scale = 1.0f;  // Gemma: sqrt(hidden_size)
  AddedEmbedding position;
  // RoBERTa and its relatives: positions count from padding_idx + 1 and skip padding tokens, which stay at padding_idx
  // (transformers, create_position_ids_from_input_ids). Negative: positions count from 0.
  int32_t padding_idx = -1;
  AddedEmbedding type;
  size_t types = 0;
  Norm norm;
  WeightArena weights;  // of the projection, which every process has whole
  Linear projection;    // embedding_size -> hidden_size (ELECTRA, ALBERT)
  size_t embedding_size = 0;

  bool projects() const { return projection.out_features() != 0; }
  size_t arena_floats(size_t tokens) const { return projects() ? tokens * padded_stride(embedding_size) : 0; }

  void run(const ModelInput& input, View<float> out, Arena& arena) const {
    const View<float> x = projects() ? arena.matrix(input.tokens(), embedding_size) : out;
    size_t counted = 0;
    for (size_t t = 0; t < input.tokens(); ++t) {
      float* row = x.row(t);
      word.copy(static_cast<size_t>(input.ids[t]), row);
      if (scale != 1.0f) kernels::scale(scale, row, embedding_size);
      // A model with one segment was trained without segment ids: its tokenizers give none, whatever the pair template
      // says.
      if (types > 0) type.add(types == 1 ? 0 : std::min(static_cast<size_t>(input.type_ids[t]), types - 1), row);
      if (position.bytes() > 0) {
        auto at = static_cast<size_t>(input.positions[t]);
        if (padding_idx >= 0) {
          if (at == 0) counted = 0;
          at = static_cast<size_t>(padding_idx) + (input.ids[t] == padding_idx ? 0 : ++counted);
        }
        position.add(at, row);
      }
    }
    if (norm) norm.run(x, x);
    if (projects()) projection.run(x, out);
  }
};

}  // namespace wde
