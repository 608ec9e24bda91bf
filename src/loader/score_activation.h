// What a cross-encoder or classifier does with its logits, from config.json.
#pragma once

#include <string>
#include <vector>

#include "loader/config.h"

namespace wde {

enum class ScoreActivation { kNone, kSigmoid, kSoftmax };

// torch.nn's function of the name that the key has. Throws LoadError for one that is not known.
ScoreActivation torch_score_activation(const ConfigView& config, std::string_view key);

// First that speaks: sentence_transformers.activation_fn, sbert_ce_default_activation_function, problem_type; else
// sigmoid for one label and softmax for several. Throws LoadError for a function that is not known.
ScoreActivation config_score_activation(const ConfigView& config, size_t labels);

// id2label, as many as `count`; names that are missing are LABEL_<n>. Throws LoadError where the two disagree.
std::vector<std::string> config_labels(const ConfigView& config, size_t count);

}  // namespace wde
