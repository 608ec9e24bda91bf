// Model seam: one architecture's forward pass on packed tokens. Immutable after load and shared by all workers; what a
// pass needs besides comes from the worker's arena. Also the registry that finds a model by its config.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attention/attn_backend.h"
#include "base/arena.h"
#include "base/team.h"
#include "loader/config.h"
#include "loader/weights.h"
#include "model/head.h"
#include "stage/job.h"

namespace wde {

struct ModelShape {
  size_t hidden_size = 0;
  size_t vocab_size = 0;    // rows of the embedding: ids must be below
  size_t positions = 0;     // longest sequence
  size_t image_tokens = 0;  // of an image; 0: it takes none
  HeadShape heads;
};

// Of the layers, those of one pipeline stage; the first stage embeds, the last one writes the output.
struct LayerRange {
  size_t first = 0, last = SIZE_MAX;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual ModelShape shape() const = 0;
  virtual size_t layers() const = 0;
  virtual std::vector<AttentionMask> masks() const = 0;  // every different one that its layers use
  virtual size_t weight_bytes() const = 0;               // packed, in memory
  // Its layers honour Part::exchange, where each of several processes has a portion of their columns.
  virtual bool divides_columns() const { return false; }
  // The row that speaks for a text where the output needs the last one.
  virtual size_t last_row(std::span<const int32_t> ids) const { return ids.size() - 1; }
  // Under causal attention, a token's keys and values depend on the tokens before it and on nothing else: it honours
  // ModelInput::prefix_lens.
  virtual bool shares_prefixes() const { return false; }
  // Called once, at load, when it is known how long sequences may be: makes tables of that size.
  virtual void reserve(size_t max_seqlen) = 0;
  // Bound of the arena for batches of up to `tokens` tokens in sequences of up to `max_seqlen`, by a
  // team of up to `team`.
  virtual size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const = 0;
  // Precondition: ids, positions and lengths are within shape(). The last stage writes output.resize(
  // input.output_rows(), hidden_size); between stages the output's state carries the rows.
  virtual void forward(const ModelInput& input, LayerRange range, const AttnBackend& backend, Arena& arena, Team& team,
                       ModelOutput& output) const = 0;
};

using ModelFactory = std::function<std::unique_ptr<Model>(const ConfigView& config, Weights& weights)>;

struct ModelSpec {
  std::vector<std::string> architectures;  // config.json's architectures[0]
  std::string model_type;                  // config.json's model_type, where the architecture is not known or absent
  bool causal = false;                     // the architecture's default
  ModelFactory create;
  // Tasks beyond embed, token_embed and tokenize: the head that each of them needs behind the layers.
  std::map<std::string, HeadFactory> heads = {};
  // Task -> workflow of a model that answers these and nothing else; empty: workflows_of() says.
  std::map<std::string, std::string> workflows = {};
  // Longest sequence by the config; nullptr: max_position_embeddings, or n_positions.
  size_t (*positions)(const ConfigView& config) = nullptr;
};

class ModelRegistry {
 public:
  static ModelRegistry& instance();
  bool add(ModelSpec spec);  // throws LoadError if an architecture is taken
  // The same, taking the names from whoever has them: for plug-ins, before anything is made by them.
  bool replace(ModelSpec spec);
  // By architectures[0]; if no model has that name, by model_type, as AutoModel does, unless the repository brings code
  // of its own for it. Throws LoadError naming the architecture, the file and the nearest names.
  const ModelSpec& find(const ConfigView& config) const;
  const std::vector<std::unique_ptr<ModelSpec>>& all() const { return specs_; }

 private:
  std::vector<std::unique_ptr<ModelSpec>> specs_;
};

// Task -> workflow. Every model answers embed, token_embed and tokenize, and multi_vector if its files have what makes
// vectors of tokens; the others need a head.
std::map<std::string, std::string> workflows_of(const ModelSpec& spec);

// The architecture's names with these endings: {"Bert"} x {"Model", "ForMaskedLM"} -> "BertModel", "BertForMaskedLM".
std::vector<std::string> architecture_names(const std::vector<std::string>& families,
                                            const std::vector<std::string>& endings);

}  // namespace wde
