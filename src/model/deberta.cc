// DeBERTa-v2 and v3 (mxbai-rerank v1, NLI and zero-shot classifiers): BERT's layers whose attention adds the scores of
// contents with relative positions. Source: transformers, modeling_deberta_v2.py.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "loader/json_file.h"
#include "model/post_norm_layer.h"
#include "model/transformer_model.h"
#include "ops/convolution.h"

namespace wde {
namespace {

const PostNormNames kNames = {"attention.self.query_proj",
                              "attention.self.key_proj",
                              "attention.self.value_proj",
                              "attention.output.dense",
                              "attention.output.LayerNorm",
                              "intermediate.dense",
                              "output.dense",
                              "output.LayerNorm"};

class DebertaModel final : public TransformerModel {
 public:
  DebertaModel(const ConfigView& config, Weights& weights) {
    if (!config.boolean_or("relative_attention", false))
      throw LoadError(config.file() + ": relative_attention must be true, other DeBERTa models are not supported");
    SizeKeys size_keys;
    size_keys.default_eps = 1e-7;
    const Sizes sizes = read_sizes(config, size_keys);
    const HeadShape heads = equal_heads(sizes.hidden, sizes.heads);
    const auto own_head_dim =
        static_cast<size_t>(config.integer_or("attention_head_size", static_cast<int64_t>(heads.head_dim), 1, 1 << 12));
    if (own_head_dim != heads.head_dim)
      throw LoadError(config.file() + ": attention_head_size must be hidden_size / num_attention_heads");
    begin(sizes, heads);
    weights.choose_prefix({"", "deberta."}, "embeddings.word_embeddings.weight");
    for (const char* head : {"pooler.", "classifier.", "cls.", "lm_predictions.", "mask_predictions.", "qa_outputs.",
                             "embeddings.position_ids"}) {
      weights.ignore(head);
    }
    read_positions(config, sizes);
    load_embeddings(config, weights, sizes);
    const Matrix relative = load_relative(config, weights, sizes);
    const bool shared = config.boolean_or("share_att_key", false);
    for (size_t i = 0; i < sizes.layers; ++i) {
      const std::string name = fmt::format("encoder.layer.{}.", i), self = name + "attention.self.";
      TransformerLayer& layer = add_post_norm_layer(transformer_, weights, name, kNames, sizes.hidden,
                                                    sizes.intermediate, sizes.activation, sizes.eps);
      layer.mask.scale = 1.0f / std::sqrt(static_cast<float>(heads.head_dim) * static_cast<float>(1 + c2p_ + p2c_));
      layer.mask.positions = 2 * span_;
      const std::string key = self + (shared ? "key_proj" : "pos_key_proj"),
                        query = self + (shared ? "query_proj" : "pos_query_proj");
      const Range kept = weights.portion().columns(heads.num_heads, 1);
      const Matrix keys = c2p_ ? project(weights, key, relative, kept) : Matrix(),
                   queries = p2c_ ? project(weights, query, relative, kept) : Matrix();
      layer.relative = Disentangled(keys.view(), queries.view(), kept.size(), heads.head_dim, transformer_.arena());
    }
    load_convolution(config, weights, sizes);
    reserve(1);
  }

  size_t arena_floats(size_t tokens, size_t max_seqlen, size_t team, const AttnBackend& backend) const override {
    const size_t own = TransformerModel::arena_floats(tokens, max_seqlen, team, backend);
    if (!convolution_) return own;
    // The layers run in two goes, each with an arena of its own.
    return own + transformer_.arena_floats(tokens, max_seqlen, team, backend) + convolution_.arena_floats(team) +
           tokens * padded_stride(shape_.hidden_size);
  }

  // Behind the first layer the convolution of its input is added to its output.
  void forward(const ModelInput& input, LayerRange range, const AttnBackend& backend, Arena& arena, Team& team,
               ModelOutput& output) const override {
    if (!convolution_ || range.first > 0) {
      return TransformerModel::forward(input, range, backend, arena, team, output);
    }
    const View<float> x = state(input, output), embedded = arena.matrix(x.rows, x.cols);
    embedding_.run(input, x, arena);
    for (size_t row = 0; row < x.rows; ++row) std::copy_n(x.row(row), x.cols, embedded.row(row));
    transformer_.forward(x, input, {0, 1}, backend, arena, team, output);
    convolution_.run(embedded, input.cu_seqlens, x, arena, team);
    if (range.last > 1) transformer_.forward(x, input, {1, range.last}, backend, arena, team, output);
  }

  void reserve(size_t max_seqlen) override {
    TransformerModel::reserve(max_seqlen);
    index_.resize(2 * max_seqlen - 1);
    for (size_t i = 0; i < index_.size(); ++i) {
      // Of key minus query; the buckets are those of query minus key.
      const int64_t distance = static_cast<int64_t>(max_seqlen) - 1 - static_cast<int64_t>(i);
      index_[i] = position_of(distance);
    }
    for (size_t i = 0; i < transformer_.layers(); ++i) {
      transformer_.layer(i).mask.relative_index = index_.data();
      transformer_.layer(i).mask.relative_span = max_seqlen;
    }
  }

 private:
  void read_positions(const ConfigView& config, const Sizes& sizes) {
    // Below 1 they mean that there is none.
    const auto given = config.integer_or("max_relative_positions", -1, INT32_MIN, 1 << 20),
               buckets = config.integer_or("position_buckets", -1, INT32_MIN, 1 << 16);
    if (buckets == 1) throw LoadError(config.file() + ": position_buckets must be 2 or more, or -1 for none, found 1");
    max_relative_ = given < 1 ? sizes.positions : static_cast<size_t>(given);
    buckets_ = static_cast<size_t>(std::max<int64_t>(0, buckets));
    span_ = buckets_ > 0 ? buckets_ : max_relative_;
    for (const std::string& term : position_terms(config)) {
      if (term != "c2p" && term != "p2c") {
        throw LoadError(fmt::format("{}: pos_att_type has {}, which is not supported: expected c2p and p2c",
                                    config.file(), quote(term)));
      }
      (term == "c2p" ? c2p_ : p2c_) = true;
    }
    if (!c2p_ && !p2c_) throw LoadError(config.file() + ": pos_att_type must have c2p or p2c");
  }

  // A list, or names joined by "|".
  static std::vector<std::string> position_terms(const ConfigView& config) {
    const std::vector<std::string> given = config.strings("pos_att_type");
    return config.json().at("pos_att_type").is_string() ? words_between_bars(given.front()) : given;
  }

  // " Layer_norm | x" -> "layer_norm", "x"
  static std::vector<std::string> words_between_bars(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string word; std::getline(in, word, '|');) {
      const size_t begin = std::min(word.find_first_not_of(' '), word.size()), end = word.find_last_not_of(' ') + 1;
      out.push_back(word.substr(begin, end - begin));
    }
    return out;
  }

  void load_embeddings(const ConfigView& config, Weights& weights, const Sizes& sizes) {
    if (static_cast<size_t>(config.integer_or("embedding_size", static_cast<int64_t>(sizes.hidden), 1, 1 << 16)) !=
        sizes.hidden) {
      throw LoadError(config.file() + ": embedding_size must be hidden_size");
    }
    embedding_.word = Embedding(weights, "embeddings.word_embeddings.weight", sizes.vocab, sizes.hidden);
    if (config.boolean_or("position_biased_input", true)) {
      embedding_.position =
          AddedEmbedding(weights, "embeddings.position_embeddings.weight", sizes.positions, sizes.hidden);
    } else {
      weights.ignore("embeddings.position_embeddings.");
    }
    embedding_.types = static_cast<size_t>(config.integer_or("type_vocab_size", 0, 0, 1 << 16));
    if (embedding_.types > 0) {
      embedding_.type =
          AddedEmbedding(weights, "embeddings.token_type_embeddings.weight", embedding_.types, sizes.hidden);
    }
    embedding_.norm = Norm::layer(weights, "embeddings.LayerNorm", sizes.hidden, sizes.eps);
  }

  void load_convolution(const ConfigView& config, Weights& weights, const Sizes& sizes) {
    const auto kernel = static_cast<size_t>(config.integer_or("conv_kernel_size", 0, 0, 63));
    if (kernel == 0) return;
    if (kernel % 2 == 0) throw LoadError(config.file() + ": conv_kernel_size must be odd");
    if (config.integer_or("conv_groups", 1, 1, 1 << 16) != 1)
      throw LoadError(config.file() + ": conv_groups must be 1, other convolutions are not supported");
    if (sizes.layers < 2) throw LoadError(config.file() + ": with a convolution there must be two layers or more");
    convolution_ = Convolution(weights, transformer_.arena(), "encoder.conv", sizes.hidden, kernel,
                               config_activation(config, "conv_act", "tanh"), sizes.eps);
  }

  Matrix load_relative(const ConfigView& config, Weights& weights, const Sizes& sizes) const {
    const TensorView& table = weights.get("encoder.rel_embeddings.weight", {2 * span_, sizes.hidden});
    Matrix relative(2 * span_, sizes.hidden);
    for (size_t p = 0; p < 2 * span_; ++p) to_float32(table, p * sizes.hidden, sizes.hidden, relative.view().row(p));
    const std::vector<std::string> norms = words_between_bars(config.string_or("norm_rel_ebd", "none"));
    if (std::find(norms.begin(), norms.end(), "layer_norm") != norms.end()) {
      Norm::layer(weights, "encoder.LayerNorm", sizes.hidden, sizes.eps).run(relative.view(), relative.view());
    }
    return relative;
  }

  // The heads `kept`; no row where the layer is another process's.
  Matrix project(Weights& weights, const std::string& name, const Matrix& relative, Range kept) const {
    const size_t hidden = shape_.hidden_size, width = shape_.heads.head_dim;
    const WeightRows rows =
        WeightRows::of(name, hidden, weights.has(name + ".bias")).slice({kept.begin * width, kept.end * width});
    WeightArena arena;
    Linear linear(hidden, rows.rows, arena);
    linear.load(weights, rows, 0);
    if (!weights.wants_layer_of(name)) return {};
    Matrix out(relative.view().rows, rows.rows);
    linear.run(relative.view(), out.view());
    return out;
  }

  // The row of the table for query minus key. Exact up to half of the buckets, then logarithmic, in float32 as torch
  // computes it: with odd numbers of buckets and positions the distances may fall, and what is not finite is the
  // lowest integer to torch, and so row 0.
  int32_t position_of(int64_t distance) const {
    const auto half = buckets_ / 2;
    const auto span = static_cast<float>(span_), middle = static_cast<float>(half);
    auto bucket = static_cast<float>(distance);
    if (buckets_ > 0 && std::abs(bucket) > middle) {
      const float position = std::log(std::abs(bucket) / middle) /
                             std::log((static_cast<float>(max_relative_) - 1.0f) / middle) * (middle - 1.0f);
      bucket = std::copysign(1.0f, bucket) * (std::ceil(position) + middle);
    }
    if (!std::isfinite(bucket)) return 0;
    return static_cast<int32_t>(std::clamp(bucket + span, 0.0f, 2 * span - 1));
  }

  size_t max_relative_ = 0, buckets_ = 0, span_ = 0;
  bool c2p_ = false, p2c_ = false;
  Convolution convolution_;  // of DeBERTa-v2-xlarge
  std::vector<int32_t> index_;
};

std::unique_ptr<Head> classifier(const HeadContext& context) {
  const Activation activation = config_activation(context.config, "pooler_hidden_act", "gelu");
  return make_classifier(context, HeadPooling::kFirst, {{"pooler.dense", activation}, {"classifier"}});
}
std::unique_ptr<Head> token_classifier(const HeadContext& context) {
  return make_classifier(context, HeadPooling::kNone, {{"classifier"}});
}

// "legacy": the head that transformers had at first, in which nothing is what DeBERTa was trained with.
std::unique_ptr<Head> sparse(const HeadContext& context) {
  const bool legacy = context.config.boolean_or("legacy", true);
  const std::string name = legacy ? "cls.predictions.transform." : "lm_predictions.lm_head.";
  const auto eps = static_cast<float>(context.config.number_or("layer_norm_eps", 1e-7));
  const Activation activation = config_activation(context.config, "hidden_act", "gelu");
  const std::string words = "embeddings.word_embeddings.weight";
  return make_splade(context, {{name + "dense", activation, name + "LayerNorm", eps},
                               legacy ? "cls.predictions.decoder.weight" : words,
                               words,
                               legacy ? "cls.predictions.bias" : "lm_predictions.lm_head.bias"});
}

WDE_REGISTER(ModelRegistry::instance().add(
    {architecture_names({"DebertaV2"}, {"Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"}),
     "deberta-v2",
     false,
     [](const ConfigView& config, Weights& weights) { return std::make_unique<DebertaModel>(config, weights); },
     {{"classify", classifier}, {"score", classifier}, {"token_classify", token_classifier}, {"sparse", sparse}}}));

}  // namespace
}  // namespace wde
