#include "output/embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "output/pooling.h"

namespace wde {

Embedder::Embedder(const OutputConfig& config) : pooling_(config.spec->pooling) {
  if (!config.pooling.empty()) {
    const auto mode = pooling_from_name(config.pooling);
    if (!mode) throw UsageError("unknown pooling '" + config.pooling + "'");
    pooling_.modes = {*mode};
  }
  pooled_ = config.hidden_size * pooling_.modes.size();
  widest_ = dimensions_ = pooled_;
  for (const PostModule& module : config.spec->post) {
    steps_.push_back(make_step(module));
    dimensions_ = steps_.back().out;
    widest_ = std::max(widest_, dimensions_);
    normalizes_ = module.kind == PostModule::Kind::kNormalize;
  }
  if (config.spec->truncate_dim < dimensions_) truncated_ = config.spec->truncate_dim;
}

RowsNeeded Embedder::rows_needed() const { return rows_for(pooling_); }

Result<std::vector<float>> Embedder::embed(const Sequence& sequence, View<const float> hidden) const {
  const RequestOptions& options = sequence.options;
  const bool normalize = options.normalize.value_or(normalizes_);
  if (options.dimensions > dimensions_) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} dimensions were asked for, the model gives {}", options.dimensions, dimensions_)};
  }
  std::vector<float> x(widest_), y(widest_);
  for (size_t i = 0; i < pooling_.modes.size(); ++i) {
    pool(pooling_.modes[i], hidden, pooling_.include_prompt ? 0 : sequence.prompt_tokens, x.data() + i * hidden.cols);
  }
  size_t size = pooled_;
  for (const Step& step : steps_) {
    // Before tanh makes a number of an infinity.
    if (!kernels::all_finite(x.data(), size)) return not_finite();
    switch (step.kind) {
      case PostModule::Kind::kNormalize:
        // A request decides on the length of what comes out, not on what other modules take in.
        if (normalize || &step != &steps_.back()) kernels::l2_normalize(x.data(), size);
        break;
      case PostModule::Kind::kLayerNorm:
        step.norm.run({x.data(), 1, size, size}, {x.data(), 1, size, size});
        break;
      case PostModule::Kind::kDense:
        step.dense.run({x.data(), 1, size, size}, {y.data(), 1, step.out, step.out}, step.activation);
        if (step.adds_input) {
          if (step.residual.out_features() > 0)
            step.residual.run_add({x.data(), 1, size, size}, {y.data(), 1, step.out, step.out},
                                  {y.data(), 1, step.out, step.out});
          else
            kernels::add(x.data(), y.data(), size);
        }
        std::swap(x, y);
        break;
    }
    size = step.out;
  }
  // All of it, whatever is cut off.
  if (!kernels::all_finite(x.data(), size)) return not_finite();
  const bool cut = options.dimensions != 0 && options.dimensions < size;
  if (cut) size = options.dimensions;
  const bool truncated = options.dimensions == 0 && truncated_ > 0;
  if (truncated) size = truncated_;
  x.resize(size);
  if (cut ? normalize : options.normalize.value_or(false) && (truncated || !normalizes_))
    kernels::l2_normalize(x.data(), size);
  return x;
}

Embedder::Step Embedder::make_step(const PostModule& module) {
  Step step;
  step.kind = module.kind;
  step.out = dimensions_;
  const auto expect = [&](size_t in, const std::string& where) {
    if (in != dimensions_)
      throw LoadError(fmt::format("{}: takes {} values, but {} arrive there", where, in, dimensions_));
  };
  if (module.kind == PostModule::Kind::kDense) {
    const DenseSpec& spec = module.dense;
    expect(spec.in_features, spec.directory);
    Weights weights = Weights::open(spec.directory);
    step.dense = Linear::from(weights, arena_, "linear", spec.in_features, spec.out_features, spec.bias);
    const auto activation = activation_from_name(spec.activation);
    if (!activation)
      throw LoadError(fmt::format("{}: the activation '{}' is not supported", spec.directory, spec.activation));
    step.activation = *activation;
    step.adds_input = spec.residual;
    if (spec.residual && spec.in_features != spec.out_features)
      step.residual = Linear::from(weights, arena_, "residual", spec.in_features, spec.out_features, false);
    step.out = spec.out_features;
  } else if (module.kind == PostModule::Kind::kLayerNorm) {
    expect(module.layer_norm.dimension, module.layer_norm.directory);
    Weights weights = Weights::open(module.layer_norm.directory);
    step.norm = Norm::layer(weights, "norm", module.layer_norm.dimension, 1e-5f);  // torch.nn.LayerNorm's default eps
  }
  return step;
}

Result<Response> Embedder::respond(const Sequence& sequence, View<const float> hidden) const {
  auto vector = embed(sequence, hidden);
  if (!vector.ok()) return vector.error();
  Response response;
  const size_t size = vector.value().size();
  response.outputs.push_back({"embedding", {size}, std::move(vector).value(), {}});
  return response;
}

}  // namespace wde
