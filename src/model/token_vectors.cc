// The head of late interaction: each token's hidden state through Dense layers, normalised.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "model/head.h"
#include "ops/linear.h"

namespace wde {
namespace {

struct Layer {
  Linear linear;
  Activation activation = Activation::kNone;
  bool residual = false;
  Linear residual_linear;  // none: the input itself is added
};

class TokenVectors final : public Head {
 public:
  explicit TokenVectors(const HeadContext& context) : hidden_(context.hidden_size), size_(hidden_) {
    const LateInteraction& late = *context.spec.late_interaction;
    normalizes_ = late.normalize;
    if (late.linear_in_checkpoint) {
      const std::vector<size_t> shape = context.weights.shape("linear.weight");
      if (shape.empty()) {
        throw LoadError(fmt::format("{}: expected a tensor linear.weight beside the transformer's, found none",
                                    context.spec.transformer_directory));
      }
      Layer& layer = layers_.emplace_back();
      load(layer.linear, context.weights, "linear", shape[0], context.weights.has("linear.bias"));
      size_ = shape[0];
    }
    for (const DenseSpec& spec : late.dense) add(spec);
    widest_ = 0;
    for (const Layer& layer : layers_) widest_ = std::max(widest_, layer.linear.out_features());
  }

  HeadResult result() const override {
    HeadResult out;
    out.per_sequence = false;
    out.vectors = size_;
    return out;
  }
  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  size_t weight_bytes() const override { return arena_.bytes(); }
  size_t arena_floats(size_t tokens, size_t) const override { return tokens * 3 * padded_stride(widest_) + 64; }

  void run(const ModelInput&, ModelOutput& output, Arena& arena, Team& team) const override {
    const View<float> hidden = output.hidden(), result = output.resize_result(hidden.rows, size_);
    View<float> buffers[3];
    if (!layers_.empty()) {
      for (View<float>& buffer : buffers) buffer = arena.matrix(hidden.rows, widest_);
    }
    team.run([&](const Part& part) {
      const Range rows = part.share(hidden.rows);
      const auto mine = [&](View<float> x, size_t cols) {
        x.cols = cols;
        return x.slice_rows(rows.begin, rows.size());
      };
      View<float> in = mine(hidden, hidden_);
      size_t next = 0;
      for (const Layer& layer : layers_) {
        const size_t cols = layer.linear.out_features();
        const View<float> out = mine(buffers[next], cols);
        layer.linear.run(in, out);
        activate_rows(layer.activation, out);
        if (layer.residual) {
          View<float> added = in;
          if (layer.residual_linear.out_features() > 0) {
            added = mine(buffers[2], cols);
            layer.residual_linear.run(in, added);
          }
          for (size_t r = 0; r < out.rows; ++r) kernels::add(added.row(r), out.row(r), cols);
        }
        in = out;
        next = 1 - next;
      }
      const View<float> to = mine(result, size_);
      for (size_t r = 0; r < to.rows; ++r) {
        std::copy_n(in.row(r), size_, to.row(r));
        if (normalizes_) kernels::l2_normalize(to.row(r), size_);
      }
    });
  }

 private:
  // Small beside the transformer, and what comes out is compared: always float32.
  void load(Linear& linear, Weights& weights, const std::string& name, size_t out, bool bias) {
    linear = Linear(size_, out, arena_);
    linear.take(WeightFormat::kFloat32);
    linear.load(weights, WeightRows::of(name, out, bias), 0);
  }

  void add(const DenseSpec& spec) {
    Weights weights = Weights::open(spec.directory);
    Layer& layer = layers_.emplace_back();
    load(layer.linear, weights, "linear", spec.out_features, spec.bias);
    const auto activation = activation_from_name(spec.activation);
    if (!activation)
      throw LoadError(fmt::format("{}: the activation '{}' is not supported", spec.directory, spec.activation));
    layer.activation = *activation;
    layer.residual = spec.residual;
    if (spec.residual && spec.out_features != size_)
      load(layer.residual_linear, weights, "residual", spec.out_features, false);
    size_ = spec.out_features;
  }

  size_t hidden_, size_, widest_ = 0;
  bool normalizes_ = true;
  WeightArena arena_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Head> make_token_vectors(const HeadContext& context) { return std::make_unique<TokenVectors>(context); }

}  // namespace wde
