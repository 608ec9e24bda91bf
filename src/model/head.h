// Head: what some tasks compute from the last hidden states, on the worker, with weights of its own: a classifier, a
// language model's vocabulary, bge-m3's lexical and token vectors.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/team.h"
#include "kernels/activation.h"
#include "loader/config.h"
#include "loader/sentence_transformers.h"
#include "loader/weights.h"
#include "stage/job.h"

namespace wde {

// What the columns of a result row are.
struct HeadResult {
  bool per_sequence = true;  // one row a sequence; else one a token
  size_t logits = 0;         // classes, scores, or the vocabulary's weights; first columns
  bool vocabulary = false;   // the logits are weights of vocabulary entries
  // bge-m3, in this order behind the logits: the hidden state, the token's lexical weight, the token's vector.
  size_t dense = 0, lexical = 0, vectors = 0;

  size_t columns() const { return logits + dense + lexical + vectors; }
};

class Head {
 public:
  virtual ~Head() = default;
  virtual HeadResult result() const = 0;
  virtual RowsNeeded rows_needed() const = 0;
  virtual size_t weight_bytes() const = 0;
  virtual size_t arena_floats(size_t tokens, size_t team) const = 0;
  // output.hidden() -> output.resize_result(rows, result().columns()).
  virtual void run(const ModelInput& input, ModelOutput& output, Arena& arena, Team& team) const = 0;
  // What RowsNeeded::kLast means to it, where it has a rule of its own.
  virtual std::optional<size_t> last_row(std::span<const int32_t>) const { return std::nullopt; }
};

struct HeadContext {
  const ConfigView& config;
  Weights& weights;  // under the prefix that the model has chosen
  const SentenceTransformersSpec& spec;
  std::string task;
  size_t hidden_size = 0;
  size_t vocab_size = 0;
};
using HeadFactory = std::function<std::unique_ptr<Head>(const HeadContext&)>;

// An activation that the config names. Throws LoadError for one that is not known.
Activation config_activation(const ConfigView& config, std::string_view key, std::string_view fallback);

// The ways to make one row of a sequence's rows. kLastText: the last one whose token is not the config's pad_token_id,
// as transformers' decoders with a classifier look for it. kLate: the mean, in front of the last step instead of the
// first (the mean of the logits, since that step is linear); kNone: a row a token.
enum class HeadPooling { kFirst, kLast, kLastText, kMean, kLate, kNone };

// y = norm(act(x W^T + b)); "<name>.weight" says the size. A bias that is not there is an error, but in architectures
// that leave it to the config.
struct HeadStep {
  std::string name;
  Activation activation = Activation::kNone;
  std::string norm = "";  // LayerNorm behind the activation; its eps is the next field
  float eps = 1e-5f;
  float divisor = 1.0f;    // of what comes out: a temperature
  bool needs_bias = true;  // of the norm too
};

// A chain of steps on the pooled row; the last one's rows are the labels. Throws LoadError where a tensor is missing.
std::unique_ptr<Head> make_classifier(const HeadContext& context, HeadPooling pooling,
                                      const std::vector<HeadStep>& steps);

// The activation of all rows. One with a NaN or an infinity before it has a NaN behind it too, which tanh and its like
// would hide from the output's check.
void activate_rows(Activation activation, View<float> rows);

// SPLADE: max over the tokens of log(1 + relu(logit)) for every vocabulary entry, or what the SpladePooling module
// says. `transform`: dense, activation, norm; without a name there is none. The decoder's weights are the word
// embeddings unless the checkpoint has its own.
struct MaskedLmNames {
  HeadStep transform;
  std::string decoder;     // "cls.predictions.decoder.weight"
  std::string embeddings;  // "embeddings.word_embeddings.weight"
  std::string bias;        // "cls.predictions.bias", to which the decoder's is tied; empty: it is its own
};
std::unique_ptr<Head> make_splade(const HeadContext& context, const MaskedLmNames& names);

// Two logits of the language model's head at the last token: logit(true) - logit(false), or one alone. Ids from the
// LogitScore module. `soft_cap`: each logit is cap tanh(logit / cap); 0: none.
std::unique_ptr<Head> make_token_logits(const HeadContext& context, const std::string& lm_head,
                                        const std::string& embeddings, double soft_cap);

// bge-m3: sparse_linear.pt and colbert_linear.pt beside the transformer; which of dense, lexical and vectors follows
// from the task ("all": the three of them).
std::unique_ptr<Head> make_m3(const HeadContext& context);
bool has_m3(const HeadContext& context);

// One more matrix on every hidden state, for the tasks embed and token_embed; nullptr: the checkpoint has none. The
// vectors' size, 0 without one; throws LoadError where num_labels in the config is another.
constexpr const char* kProjection = "linear";
size_t projected_size(const ConfigView& config, const Weights& weights);
std::unique_ptr<Head> make_projection(const HeadContext& context);

// Late interaction, behind any model: a vector a token, through the Dense layers that SentenceTransformersSpec names.
std::unique_ptr<Head> make_token_vectors(const HeadContext& context);

}  // namespace wde
