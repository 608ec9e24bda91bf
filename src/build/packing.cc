#include "build/packing.h"

#include <algorithm>

namespace wde {

void begin_packing(RowsNeeded rows, ModelInput& input) {
  for (auto* v :
       {&input.ids, &input.type_ids, &input.positions, &input.cu_seqlens, &input.prefix_rows, &input.prefix_lens,
        &input.unseen_lens, &input.row_indices, &input.row_positions, &input.cu_rows, &input.part_sequences}) {
    v->clear();
  }
  input.images.clear();
  input.max_seqlen = 0;
  input.rows = rows;
  input.cu_seqlens.push_back(0);
  if (rows != RowsNeeded::kAll) input.cu_rows.push_back(0);
}

void pack(const Sequence& s, int32_t prefix, ModelInput& input) {
  const auto begin = static_cast<int32_t>(input.ids.size()), length = static_cast<int32_t>(s.size());
  input.ids.insert(input.ids.end(), s.ids.begin() + prefix, s.ids.end());
  input.type_ids.insert(input.type_ids.end(), s.type_ids.begin() + prefix, s.type_ids.end());
  for (int32_t p = prefix; p < length; ++p) input.positions.push_back(p);
  input.cu_seqlens.push_back(begin + length - prefix);
  input.max_seqlen = std::max(input.max_seqlen, s.size());
  if (s.unseen > 0) {
    input.unseen_lens.resize(input.sequences());
    input.unseen_lens.back() = static_cast<int32_t>(s.unseen);
  }
  if (input.rows == RowsNeeded::kAll) return;
  const int32_t last = s.last_row ? static_cast<int32_t>(*s.last_row) : length - 1;
  const int32_t position = input.rows == RowsNeeded::kFirst ? 0 : last;
  input.row_indices.push_back(begin + position - prefix);
  input.row_positions.push_back(position);
  input.cu_rows.push_back(static_cast<int32_t>(input.row_indices.size()));
}

void pack_sequences(std::span<const Sequence> batch, RowsNeeded rows, std::span<const int32_t> prefix_lens,
                    ModelInput& input) {
  begin_packing(rows, input);
  for (size_t i = 0; i < batch.size(); ++i) pack(batch[i], prefix_lens.empty() ? 0 : prefix_lens[i], input);
}

}  // namespace wde
