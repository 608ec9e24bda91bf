// What the decoder architectures share: names, grouped heads, windows, heads of tasks.
#pragma once

#include <map>
#include <string>

#include "model/post_norm_layer.h"
#include "model/transformer_model.h"

namespace wde {

// num_key_value_heads and head_dim, which may be other than hidden_size / heads.
HeadShape grouped_heads(const ConfigView& config, size_t hidden, size_t heads);

// "model.", or none, and the heads that embedders do not need.
void choose_decoder_prefix(Weights& weights);

// layer_types[i]. Throws LoadError for a list that is too short or a type that is not known.
std::string layer_type(const ConfigView& config, size_t i);

// Query i sees key j only if i - j < window, where attention is causal; if |i - j| <= window, where it is
// bidirectional (transformers, sliding_window_overlay and sliding_window_bidirectional_overlay). 0: no window.
void set_window(AttentionMask& mask, size_t window);

// classify and score by a `score` layer at the last token, or by tokens of the language model's head.
std::map<std::string, HeadFactory> decoder_heads();

}  // namespace wde
