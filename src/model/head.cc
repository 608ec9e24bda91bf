#include "model/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "loader/json_file.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace wde {
namespace {

// Rows of a sequence become one.
void pool(HeadPooling pooling, const ModelInput& input, View<float> hidden, View<float> out) {
  const size_t cols = hidden.cols;
  for (size_t s = 0; s < input.sequences(); ++s) {
    const auto begin = static_cast<size_t>(input.cu_seqlens[s]), end = static_cast<size_t>(input.cu_seqlens[s + 1]);
    float* row = out.row(s);
    if (pooling != HeadPooling::kMean && pooling != HeadPooling::kLate) {
      std::copy_n(hidden.row(s), cols, row);  // the model gave the one row
      continue;
    }
    std::fill_n(row, cols, 0.0f);
    for (size_t t = begin; t < end; ++t) kernels::add(hidden.row(t), row, cols);
    kernels::scale(1.0f / static_cast<float>(end - begin), row, cols);
  }
}

RowsNeeded rows_of(HeadPooling pooling) {
  if (pooling == HeadPooling::kFirst) return RowsNeeded::kFirst;
  if (pooling == HeadPooling::kLast || pooling == HeadPooling::kLastText) return RowsNeeded::kLast;
  return RowsNeeded::kAll;
}

struct Step {
  Linear linear;
  Activation activation;
  Norm norm;
  float divisor = 1.0f;

  void run(View<const float> in, View<float> out) const {
    linear.run(in, out);
    activate_rows(activation, out);
    if (norm) norm.run(out, out);
    for (size_t r = 0; divisor != 1.0f && r < out.rows; ++r) {
      for (size_t c = 0; c < out.cols; ++c) out.row(r)[c] /= divisor;
    }
  }
};

Step load_step(const HeadContext& context, WeightArena& arena, const HeadStep& names, size_t in) {
  Weights& weights = context.weights;
  const std::vector<size_t> shape = weights.shape(names.name + ".weight");
  if (shape.empty())
    throw LoadError(fmt::format("{}: the task '{}' needs a head, and the checkpoint has no tensor {} of it",
                                context.config.file(), context.task, quote(names.name + ".weight")));
  const size_t out = shape[0];
  Step step;
  step.linear =
      Linear::from(weights, arena, names.name, in, out, names.needs_bias || weights.has(names.name + ".bias"));
  step.activation = names.activation;
  step.divisor = names.divisor;
  if (!names.norm.empty())
    step.norm = Norm::layer(weights, names.norm, out, names.eps, names.needs_bias || weights.has(names.norm + ".bias"));
  return step;
}

bool is_tied(const HeadContext& context) { return context.config.boolean_or("tie_word_embeddings", true); }
// The head's own rows, else those of the embedding that it is tied to. An untied head that is missing is an error.
const std::string& vocabulary_rows(const HeadContext& context, const std::string& own, const std::string& embeddings) {
  return context.weights.has(own) || !is_tied(context) ? own : embeddings;
}
// "x.decoder.weight" -> "x.decoder.bias"
std::string bias_beside(const std::string& weight) { return weight.substr(0, weight.rfind('.')) + ".bias"; }

class Classifier final : public Head {
 public:
  Classifier(const HeadContext& context, HeadPooling pooling, const std::vector<HeadStep>& names)
      : pooling_(pooling), hidden_(context.hidden_size) {
    size_t size = hidden_;
    for (const HeadStep& name : names) {
      steps_.push_back(load_step(context, arena_, name, size));
      size = steps_.back().linear.out_features();
      widest_ = std::max(widest_, size);
    }
    labels_ = size;
    if (pooling == HeadPooling::kLastText && context.config.has("pad_token_id"))
      pad_token_ = context.config.integer("pad_token_id", INT32_MIN, INT32_MAX);
  }

  HeadResult result() const override {
    HeadResult out;
    out.per_sequence = pooling_ != HeadPooling::kNone;
    out.logits = labels_;
    return out;
  }
  RowsNeeded rows_needed() const override { return rows_of(pooling_); }
  std::optional<size_t> last_row(std::span<const int32_t> ids) const override {
    if (!pad_token_) return std::nullopt;
    const auto last = std::find_if(ids.rbegin(), ids.rend(), [&](int32_t id) { return id != *pad_token_; });
    return last == ids.rend() ? 0 : static_cast<size_t>(ids.rend() - last) - 1;
  }
  size_t weight_bytes() const override { return arena_.bytes(); }
  size_t arena_floats(size_t tokens, size_t) const override {
    return tokens * (padded_stride(hidden_) + 3 * padded_stride(widest_)) + 64;
  }

  void run(const ModelInput& input, ModelOutput& output, Arena& arena, Team& team) const override {
    View<float> x = output.hidden();
    if (pooling_ == HeadPooling::kLate) return run_late(input, x, output, arena, team);
    if (pooling_ != HeadPooling::kNone) {
      const View<float> pooled = arena.matrix(input.sequences(), hidden_);
      pool(pooling_, input, x, pooled);
      x = pooled;
    }
    const View<float> result = output.resize_result(x.rows, labels_);
    View<float> buffers[2];
    if (steps_.size() > 1) buffers[0] = buffers[1] = arena.matrix(x.rows, widest_);
    if (steps_.size() > 2) buffers[1] = arena.matrix(x.rows, widest_);
    team.run([&](const Part& part) {
      const Range rows = part.share(x.rows);
      View<float> in = x.slice_rows(rows.begin, rows.size());
      for (size_t i = 0; i < steps_.size(); ++i) {
        const Step& step = steps_[i];
        View<float> out = (i + 1 == steps_.size() ? result : buffers[i % 2]).slice_rows(rows.begin, rows.size());
        out.cols = step.linear.out_features();
        step.run(in, out);
        in = out;
      }
    });
  }

 private:
  // Every step but the last for every token.
  void run_late(const ModelInput& input, View<float> x, ModelOutput& output, Arena& arena, Team& team) const {
    const size_t before = steps_.size() - 1, width = steps_.back().linear.in_features();
    View<float> buffers[2] = {arena.matrix(x.rows, widest_), arena.matrix(x.rows, widest_)};
    const View<float> pooled = arena.matrix(input.sequences(), width);
    const View<float> result = output.resize_result(input.sequences(), labels_);
    team.run([&](const Part& part) {
      const Range rows = part.share(x.rows), sequences = part.share(input.sequences());
      View<float> in = x.slice_rows(rows.begin, rows.size());
      for (size_t i = 0; i < before; ++i) {
        View<float> out = buffers[i % 2].slice_rows(rows.begin, rows.size());
        out.cols = steps_[i].linear.out_features();
        steps_[i].run(in, out);
        in = out;
      }
      part.sync();
      if (part.rank == 0) {
        View<float> whole = before == 0 ? x : buffers[(before - 1) % 2];
        whole.cols = width;
        pool(pooling_, input, whole, pooled);
      }
      part.sync();
      steps_.back().run(pooled.slice_rows(sequences.begin, sequences.size()),
                        result.slice_rows(sequences.begin, sequences.size()));
    });
  }

  HeadPooling pooling_;
  size_t hidden_, labels_ = 0, widest_ = 0;
  std::optional<int64_t> pad_token_;
  WeightArena arena_;
  std::vector<Step> steps_;
};

// The rows of tokens whose vocabulary logits are in memory at once: 64 x 30,522 floats are 8 MB.
constexpr size_t kVocabularyRows = 64;

class Splade final : public Head {
 public:
  Splade(const HeadContext& context, const MaskedLmNames& names)
      : width_(context.hidden_size), pooling_(context.spec.splade.value_or(SpladeSpec{})) {
    Weights& weights = context.weights;
    if (!names.transform.name.empty()) {
      transform_ = load_step(context, arena_, names.transform, width_);
      width_ = transform_->linear.out_features();
    }
    decoder_ = Linear(width_, context.vocab_size, arena_);
    // Where the two are tied, it is to names.bias.
    std::string bias;
    const std::string own = bias_beside(names.decoder);
    for (const std::string& name : is_tied(context) ? std::vector{own, names.bias} : std::vector{names.bias, own})
      if (!name.empty() && weights.has(name)) bias = name;
    decoder_.load(weights, {vocabulary_rows(context, names.decoder, names.embeddings), bias, context.vocab_size}, 0);
  }

  HeadResult result() const override {
    HeadResult out;
    out.logits = decoder_.out_features();
    out.vocabulary = true;
    return out;
  }
  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  size_t weight_bytes() const override { return arena_.bytes(); }
  size_t arena_floats(size_t tokens, size_t) const override {
    return tokens * padded_stride(width_) + kVocabularyRows * padded_stride(decoder_.out_features()) + 64;
  }

  void run(const ModelInput& input, ModelOutput& output, Arena& arena, Team& team) const override {
    const View<float> hidden = output.hidden();
    const View<float> transformed = transform_ ? arena.matrix(hidden.rows, width_) : hidden;
    const View<float> logits = arena.matrix(kVocabularyRows, decoder_.out_features());
    const View<float> result = output.resize_result(input.sequences(), decoder_.out_features());
    team.run([&](const Part& part) {
      const Range rows = part.share(hidden.rows);
      if (transform_)
        transform_->run(hidden.slice_rows(rows.begin, rows.size()), transformed.slice_rows(rows.begin, rows.size()));
      part.sync();
      // Each member has columns of the vocabulary.
      const Range cols = decoder_.columns(part);
      const auto width = cols.size();
      for (size_t s = 0; s < input.sequences(); ++s) {
        float* best = result.row(s) + cols.begin;
        std::fill_n(best, width, 0.0f);
        const auto end = static_cast<size_t>(input.cu_seqlens[s + 1]);
        for (auto t = static_cast<size_t>(input.cu_seqlens[s]); t < end; t += kVocabularyRows) {
          const size_t count = std::min(kVocabularyRows, end - t);
          decoder_.run(transformed.slice_rows(t, count), logits.slice_rows(0, count), Activation::kNone, part);
          for (size_t r = 0; r < count; ++r) add(logits.row(r) + cols.begin, best, width);
        }
        if (pooling_.sum) continue;
        for (size_t i = 0; i < width; ++i) best[i] = weight(best[i]);
      }
    });
  }

 private:
  float weight(float logit) const {  // of one above zero
    const float weight = std::log1p(logit);
    return pooling_.log_twice ? std::log1p(weight) : weight;
  }
  // weight() grows with the logit, so the maximum is taken of logits.
  void add(const float* logits, float* sum, size_t n) const {
    if (!pooling_.sum) return kernels::maximum(logits, sum, n);
    for (size_t i = 0; i < n; ++i) {
      const float logit = logits[i] + 0.0f * logits[i];  // an infinity becomes NaN
      if (!(logit <= 0)) sum[i] += weight(logit);
    }
  }

  size_t width_;
  SpladeSpec pooling_;
  WeightArena arena_;
  std::optional<Step> transform_;
  Linear decoder_;
};

class TokenLogits final : public Head {
 public:
  TokenLogits(const HeadContext& context, const std::string& lm_head, const std::string& embeddings, double soft_cap)
      : soft_cap_(soft_cap) {
    const auto& spec = context.spec.logit_score;
    if (!spec) {
      throw LoadError(
          fmt::format("{}: no token ids of \"yes\" and \"no\" are known (1_LogitScore/config.json), so the "
                      "model cannot score",
                      context.config.file()));
    }
    const TensorView& rows =
        context.weights.get(vocabulary_rows(context, lm_head, embeddings), {context.vocab_size, context.hidden_size});
    weights_ = row_of(rows, context, spec->true_token_id);
    if (!spec->false_token_id) return;
    const std::vector<float> row = row_of(rows, context, *spec->false_token_id);
    if (soft_cap_ > 0) {
      false_weights_ = row;
    } else {
      for (size_t i = 0; i < row.size(); ++i) weights_[i] -= row[i];
    }
  }

  HeadResult result() const override {
    HeadResult out;
    out.logits = 1;
    return out;
  }
  RowsNeeded rows_needed() const override { return RowsNeeded::kLast; }
  size_t weight_bytes() const override { return (weights_.size() + false_weights_.size()) * sizeof(float); }
  size_t arena_floats(size_t, size_t) const override { return 0; }

  void run(const ModelInput& input, ModelOutput& output, Arena&, Team&) const override {
    const View<float> hidden = output.hidden(), result = output.resize_result(input.sequences(), 1);
    for (size_t s = 0; s < hidden.rows; ++s) {
      double score = logit(weights_, hidden.row(s));
      if (!false_weights_.empty()) score -= logit(false_weights_, hidden.row(s));
      result.row(s)[0] = static_cast<float>(score);
    }
  }

 private:
  static std::vector<float> row_of(const TensorView& rows, const HeadContext& context, size_t id) {
    if (id >= context.vocab_size)
      throw LoadError(
          fmt::format("token id {} of the LogitScore module is outside the vocabulary of {}", id, context.vocab_size));
    std::vector<float> row(context.hidden_size);
    to_float32(rows, id * context.hidden_size, context.hidden_size, row.data());
    return row;
  }
  double logit(const std::vector<float>& weights, const float* hidden) const {
    double sum = 0;  // one row a text: the cost of double is nothing
    for (size_t i = 0; i < weights.size(); ++i) sum += static_cast<double>(weights[i]) * hidden[i];
    return soft_cap_ > 0 && std::isfinite(sum) ? soft_cap_ * std::tanh(sum / soft_cap_) : sum;
  }

  double soft_cap_;
  // Without a cap the first are the difference, and there are no second ones.
  std::vector<float> weights_, false_weights_;
};

class M3 final : public Head {
 public:
  explicit M3(const HeadContext& context) : hidden_(context.hidden_size) {
    const std::string& home = context.spec.transformer_directory;
    const bool all = context.task == "all";
    if (all) result_.dense = hidden_;
    if (all || context.task == "sparse") {
      Weights weights = Weights::open_file(join_path(home, "sparse_linear.pt"));
      lexical_ = Linear(hidden_, 1, arena_);
      lexical_.load(weights, {"weight", "bias", 1}, 0);
      result_.lexical = 1;
    }
    if (all || context.task == "multi_vector") {
      Weights weights = Weights::open_file(join_path(home, "colbert_linear.pt"));
      const std::vector<size_t> shape = weights.shape("weight");
      result_.vectors = shape.empty() ? 0 : shape[0];
      vectors_ = Linear(hidden_, result_.vectors, arena_);
      vectors_.load(weights, {"weight", "bias", result_.vectors}, 0);
    }
    result_.per_sequence = false;
  }

  HeadResult result() const override { return result_; }
  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  size_t weight_bytes() const override { return arena_.bytes(); }
  size_t arena_floats(size_t, size_t) const override { return 0; }

  void run(const ModelInput&, ModelOutput& output, Arena&, Team& team) const override {
    const View<float> hidden = output.hidden(), result = output.resize_result(hidden.rows, result_.columns());
    team.run([&](const Part& part) {
      const Range rows = part.share(hidden.rows);
      const View<float> in = hidden.slice_rows(rows.begin, rows.size()),
                        out = result.slice_rows(rows.begin, rows.size());
      if (result_.dense > 0)
        for (size_t r = 0; r < in.rows; ++r) std::copy_n(in.row(r), hidden_, out.row(r));
      // Without the ReLU: only weights above 0 are told, and it would make a number of -infinity.
      if (result_.lexical > 0) lexical_.run(in, out.slice_cols(result_.dense, 1));
      if (result_.vectors == 0) return;
      const View<float> vectors = out.slice_cols(result_.dense + result_.lexical, result_.vectors);
      vectors_.run(in, vectors);
      for (size_t r = 0; r < in.rows; ++r) kernels::l2_normalize(vectors.row(r), result_.vectors);
    });
  }

 private:
  size_t hidden_;
  HeadResult result_;
  WeightArena arena_;
  Linear lexical_, vectors_;
};

}  // namespace

void activate_rows(Activation activation, View<float> rows) {
  for (size_t r = 0; r < rows.rows; ++r) {
    const bool finite = kernels::all_finite(rows.row(r), rows.cols);
    kernels::activate(activation, rows.row(r), 1, rows.cols, rows.cols);
    if (!finite) rows.row(r)[0] = std::numeric_limits<float>::quiet_NaN();
  }
}

Activation config_activation(const ConfigView& config, std::string_view key, std::string_view fallback) {
  const std::string name = config.string_or(key, fallback);
  const auto activation = activation_from_name(name);
  if (!activation) throw LoadError(fmt::format("{}: {} is '{}', which is not supported", config.file(), key, name));
  return *activation;
}

std::unique_ptr<Head> make_classifier(const HeadContext& context, HeadPooling pooling,
                                      const std::vector<HeadStep>& steps) {
  return std::make_unique<Classifier>(context, pooling, steps);
}
std::unique_ptr<Head> make_splade(const HeadContext& context, const MaskedLmNames& names) {
  return std::make_unique<Splade>(context, names);
}
std::unique_ptr<Head> make_token_logits(const HeadContext& context, const std::string& lm_head,
                                        const std::string& embeddings, double soft_cap) {
  return std::make_unique<TokenLogits>(context, lm_head, embeddings, soft_cap);
}

bool has_m3(const HeadContext& context) {
  return file_exists(join_path(context.spec.transformer_directory, "sparse_linear.pt"));
}
std::unique_ptr<Head> make_m3(const HeadContext& context) {
  if (!has_m3(context)) {
    throw LoadError(fmt::format("{}: the task '{}' needs sparse_linear.pt and colbert_linear.pt, as bge-m3 has them",
                                context.spec.transformer_directory, context.task));
  }
  return std::make_unique<M3>(context);
}

}  // namespace wde
