// Linear: y = act(x W^T + b + residual), weights packed at load, in the format that the checkpoint's policy says.
// Several checkpoint tensors may lie side by side in one Linear (Q, K and V), so that they are one GEMM, and one tensor
// may hold the weights of several.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/team.h"
#include "base/view.h"
#include "kernels/gemm.h"
#include "kernels/gemm_int8.h"
#include "loader/weights.h"
#include "ops/weight_arena.h"

namespace wde {

// Rows [first, first + rows) of the tensors `weight` [total, in_features] and `bias` [total] ("": none).
struct WeightRows {
  std::string weight, bias;
  size_t rows = 0;
  size_t first = 0;
  size_t total = 0;  // 0: rows

  // "<name>.weight" and, where there is one, "<name>.bias", whole.
  static WeightRows of(const std::string& name, size_t rows, bool bias) {
    return {name + ".weight", bias ? name + ".bias" : "", rows};
  }
  // Of these rows, the ones of `range`.
  WeightRows slice(Range range) const {
    return {weight, bias, range.size(), first + range.begin, total == 0 ? rows : total};
  }
  // ... those that this process keeps, where the columns of layers are divided among processes.
  WeightRows here(const Weights& weights) const { return slice(weights.portion().columns(rows, kernels::kPanelCols)); }
};

class Linear {
 public:
  Linear() = default;
  // The weights lie in the arena, which must outlive the Linear.
  Linear(size_t in_features, size_t out_features, WeightArena& arena);

  // How to keep these weights where float32 is asked for: as they are given, if that costs no speed on this CPU.
  static WeightFormat float32_format(const Weights& weights);
  // Keeps the weights in this format, whatever the policy says; before anything is loaded.
  void take(WeightFormat format) { asked_ = format; }
  // Loads rows as output columns from `first` on. The first tensor's format is that of them all. Stays empty where the
  // tensor's layer is another process's.
  void load(Weights& weights, const WeightRows& source, size_t first);
  // Fills it with the transpose of rows [first, first + in_features) of `name` [total, out_features].
  void load_transposed(Weights& weights, const std::string& name, size_t first, size_t total);
  // The common case: "<name>.weight" and "<name>.bias" fill the whole Linear. In a layer's arena those of their rows
  // that this process keeps (WeightRows::here), and the Linear has no others.
  static Linear from(Weights& weights, WeightArena& arena, const std::string& name, size_t in_features,
                     size_t out_features, bool bias = true);

  // x [rows, in_features], y [rows, out_features]; residual [rows, out_features] may be y itself.
  // With a part, the member computes its share of the columns: whole pairs of panels. `scratch`: of the whole team,
  // rows * scratch_row() floats; what it holds is done with when all members have returned.
  void run(View<const float> x, View<float> y, Activation activation = Activation::kNone, const Part& part = {},
           float* scratch = nullptr) const noexcept;
  void run_add(View<const float> x, View<const float> residual, View<float> y, const Part& part = {},
               float* scratch = nullptr) const noexcept;
  // y rounded to bfloat16, two of them in a float: y [rows, out_features / 2]. Only where rounds().
  void run_rounded(View<const float> x, View<float> y, const Part& part, float* scratch) const noexcept;
  bool rounds() const { return format_ == WeightFormat::kInt8 && kernels::int8_rounds() && out_ % 2 == 0; }
  // This one's product is followed by that of `next`, which stays where it is: its weights come to the cache meanwhile.
  void precede(const Linear& next) { next_ = &next; }
  Range columns(const Part& part) const { return part.share(out_, 2 * kernels::kPanelCols); }
  // Floats of scratch a row, where the input is needed in another format: int8, bfloat16 in pairs; else 0.
  size_t scratch_row() const;

  size_t in_features() const { return in_; }
  size_t out_features() const { return out_; }
  // Whether its products are those of float32 with the checkpoint's weights, to the last bit.
  bool exact() const { return exact_; }

 private:
  // Chooses the format and takes the memory, from the checkpoint's cache of packed weights or new.
  void allocate(Weights& weights, const WeightRows& source);
  // Floats of everything that is kept, behind one another; with memory, sets the pointers to it.
  size_t place(float* memory);
  // Another process computes its layer.
  bool absent(const Weights& weights, const std::string& name) const;
  // `count` output columns from `first` on, at most a panel of them.
  void pack(const float* rows, size_t count, size_t first);
  // The first that this member reads; nullptr: none are here.
  const void* weights_of(const Part& part) const noexcept;
  void run_columns(View<const float> x, View<float> y, kernels::GemmEpilogue epilogue, const Part& part, float* scratch,
                   bool rounded = false) const noexcept;

  size_t in_ = 0, out_ = 0;
  WeightArena* arena_ = nullptr;
  std::optional<WeightFormat> asked_;
  WeightFormat format_ = WeightFormat::kFloat32;
  bool exact_ = true;
  bool pairs_ = false;       // activations become bfloat16 like the weights, where there is scratch for them
  float* packed_ = nullptr;  // one of the three
  uint16_t* halves_ = nullptr;
  kernels::PackedInt8 int8_;
  float* bias_ = nullptr;  // zeros where there is none; nullptr: nothing was loaded yet
  bool filled_ = false;    // it came packed
  const Linear* next_ = nullptr;
};

}  // namespace wde
