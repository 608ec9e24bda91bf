// The sentence-transformers files of a model directory, both generations (before and since 5.4): modules.json, Pooling,
// Dense, LayerNorm, Normalize, prompts, maximum length. Gives data only; the output stage builds modules from it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/config.h"
#include "loader/late_interaction.h"
#include "loader/module_entry.h"
#include "loader/score_activation.h"
#include "loader/static_embedding.h"

namespace wde {

enum class Pooling { kCls, kMax, kMean, kMeanSqrtLen, kWeightedMean, kLastToken };
std::string_view pooling_name(
    Pooling pooling);  // "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"
std::optional<Pooling> pooling_from_name(std::string_view name);

struct PoolingSpec {
  // Several: concatenated in this order. Old files' flags come in the order of the enum, new files' lists as they are.
  std::vector<Pooling> modes;
  bool include_prompt = true;  // false: prompt tokens are left out of the pooling
};

struct LayerNormSpec {
  size_t dimension = 0;
  std::string directory;  // holds model.safetensors with norm.weight, norm.bias
};

// One step behind the pooling.
struct PostModule {
  enum class Kind { kDense, kLayerNorm, kNormalize };
  Kind kind = Kind::kNormalize;
  DenseSpec dense;
  LayerNormSpec layer_norm;
};

// The tokens whose logits are a causal language model's score (a CrossEncoder's LogitScore module).
struct LogitScoreSpec {
  size_t true_token_id = 0;
  std::optional<size_t> false_token_id;  // absent: the true token's logit alone
};

// How the weights of vocabulary entries come from the logits of a masked language model.
struct SpladeSpec {
  bool sum = false;        // over the tokens; else the maximum
  bool log_twice = false;  // log(1 + log(1 + relu(x)))
};

struct SentenceTransformersSpec {
  bool present = false;               // modules.json exists; false: plain transformer, mean pooling, no normalising
                                      // (sentence-transformers' default)
  std::string transformer_directory;  // where config.json, tokenizer.json and the weights are: the model directory or a
                                      // folder of it
  PoolingSpec pooling;
  std::vector<PostModule> post;
  bool embeds = false;               // modules.json makes one vector of a text
  bool pooled = false;               // the model gives the sentence's vector itself: no pooling (CLIP)
  std::optional<SpladeSpec> splade;  // a SpladePooling module: the model was made for sparse vectors
  size_t max_active_dims = 0;        // of a sparse vector, the highest so many entries; 0: all
  bool scores = false;               // a CrossEncoder: the transformer's classifier gives scores of texts or pairs
  std::optional<ScoreActivation> score_activation;  // of those scores
  std::string similarity = "cosine";                // of such vectors; or dot, euclidean, manhattan
  size_t truncate_dim = 0;                          // so many numbers of the sentence's vector; 0: all
  std::optional<LogitScoreSpec> logit_score;
  std::optional<Model2VecSpec> model2vec;
  std::optional<LateInteraction> late_interaction;  // a vector a token, and none of the sentence
  std::map<std::string, std::string> prompts;
  std::optional<std::string> default_prompt_name;
  std::optional<size_t> max_seq_length;
  std::string max_seq_length_source;  // "sentence_bert_config.json"
  bool do_lower_case = false;
};

// Where the transformer of the model is, from modules.json alone: for config.json, which read_sentence_transformers
// needs hidden_size from. Looks at no other module. The directory itself if there is no modules.json. Throws LoadError.
std::string find_transformer_directory(const std::string& directory);

// It is a table of vectors with a tokenizer: a StaticEmbedding in modules.json, or model2vec's files without one.
bool is_static_embedding(const std::string& directory);

// Throws LoadError: a module type that is not known (with the known ones), sizes that do not fit to each other, a
// prompt name that has no prompt. Module types are matched by their last component:
// sentence_transformers.models.Pooling, …modules.pooling.Pooling, ….
SentenceTransformersSpec read_sentence_transformers(const std::string& directory, size_t hidden_size);

// The maximum length in tokens, special ones included, and the file that says so: max_seq_length, else
// tokenizer_config.json's model_max_length, never above `positions` (what the model's position embeddings allow).
// `directory`: for a spec that names no transformer_directory.
struct MaxLength {
  size_t tokens = 0;
  std::string source;
};
MaxLength resolve_max_length(const SentenceTransformersSpec& spec, const std::string& directory, size_t positions);

}  // namespace wde
