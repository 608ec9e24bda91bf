// encoder: ids, segment ids and positions from 0, packed one sequence behind the other.
#include <algorithm>

#include "build/model_input_builder.h"

namespace wde {

Registry<ModelInputBuilderFactory>& model_input_builders() {
  static Registry<ModelInputBuilderFactory> registry("model input builder");
  return registry;
}

void pack_sequences(std::span<const Sequence> batch, RowsNeeded rows, std::span<const int32_t> prefix_lens,
                    ModelInput& input) {
  for (auto* v : {&input.ids, &input.type_ids, &input.positions, &input.cu_seqlens, &input.prefix_rows,
                  &input.prefix_lens, &input.row_indices, &input.row_positions, &input.cu_rows}) {
    v->clear();
  }
  input.max_seqlen = 0;
  input.rows = rows;
  input.cu_seqlens.push_back(0);
  for (size_t i = 0; i < batch.size(); ++i) {
    const Sequence& s = batch[i];
    const auto begin = static_cast<int32_t>(input.ids.size()), length = static_cast<int32_t>(s.size());
    const int32_t prefix = prefix_lens.empty() ? 0 : prefix_lens[i];
    input.ids.insert(input.ids.end(), s.ids.begin() + prefix, s.ids.end());
    input.type_ids.insert(input.type_ids.end(), s.type_ids.begin() + prefix, s.type_ids.end());
    for (int32_t p = prefix; p < length; ++p) input.positions.push_back(p);
    input.cu_seqlens.push_back(begin + length - prefix);
    input.max_seqlen = std::max(input.max_seqlen, s.size());
    if (rows == RowsNeeded::kAll) continue;
    const int32_t position = rows == RowsNeeded::kFirst ? 0 : length - 1;
    input.cu_rows.push_back(static_cast<int32_t>(input.row_indices.size()));
    input.row_indices.push_back(begin + position - prefix);
    input.row_positions.push_back(position);
  }
  if (rows != RowsNeeded::kAll) input.cu_rows.push_back(static_cast<int32_t>(input.row_indices.size()));
}

namespace {

class EncoderInputBuilder final : public ModelInputBuilder {
 public:
  void build(std::span<const Sequence> batch, RowsNeeded rows, ModelInput& input) const override {
    pack_sequences(batch, rows, {}, input);
  }
};

WDE_REGISTER(model_input_builders().add("encoder", [] { return std::make_unique<EncoderInputBuilder>(); }));

}  // namespace
}  // namespace wde
