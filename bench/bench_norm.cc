// What lies between the GEMMs: layer normalisation, the activations, pooling's sums. Bound by memory, so bytes a
// second.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "base/view.h"
#include "kernels/activation.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"

namespace wde {
namespace {

void fill(View<float> x) {
  uint32_t state = 5;
  for (size_t i = 0; i < x.rows * x.stride; ++i) {
    state = state * 1664525u + 1013904223u;
    x.data[i] = 3.0f * static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
}

void count(benchmark::State& state, size_t rows, size_t cols, size_t bytes_an_element) {
  const auto elements = static_cast<int64_t>(rows * cols) * state.iterations();
  state.SetItemsProcessed(elements);
  state.SetBytesProcessed(elements * static_cast<int64_t>(bytes_an_element));
}

void layer_norm(benchmark::State& state) {
  const auto rows = static_cast<size_t>(state.range(0)), cols = static_cast<size_t>(state.range(1));
  Matrix x(rows, cols), y(rows, cols), gamma(1, cols), beta(1, cols);
  fill(x.view());
  for (auto _ : state) {
    kernels::layer_norm(x.view().data, x.view().stride, gamma.view().data, beta.view().data, 1e-12f, y.view().data,
                        y.view().stride, rows, cols);
    benchmark::ClobberMemory();
  }
  count(state, rows, cols, 2 * sizeof(float));
}
BENCHMARK(layer_norm)
    ->ArgNames({"rows", "cols"})
    ->ArgsProduct({{192, 1062}, {384, 768, 1024}})
    ->Unit(benchmark::kMicrosecond);

// Of the same numbers again and again: what comes out is not put back.
void activation(benchmark::State& state, Activation act) {
  const size_t rows = 14, cols = 1536;  // stays in the L1 and L2 cache, as behind a GEMM's tiles
  Matrix x(rows, cols), from(rows, cols);
  fill(from.view());
  for (auto _ : state) {
    std::copy_n(from.view().data, rows * from.view().stride, x.view().data);
    kernels::activate(act, x.view().data, rows, cols, x.view().stride);
    benchmark::ClobberMemory();
  }
  count(state, rows, cols, 2 * sizeof(float));
}
BENCHMARK_CAPTURE(activation, gelu, Activation::kGelu)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(activation, gelu_tanh, Activation::kGeluTanh)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(activation, silu, Activation::kSilu)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(activation, tanh, Activation::kTanh)->Unit(benchmark::kMicrosecond);

void mean_pooling(benchmark::State& state) {
  const auto rows = static_cast<size_t>(state.range(0)), cols = static_cast<size_t>(state.range(1));
  Matrix x(rows, cols), sum(1, cols);
  fill(x.view());
  for (auto _ : state) {
    for (size_t r = 0; r < rows; ++r) kernels::add(x.view().row(r), sum.view().data, cols);
    benchmark::ClobberMemory();
  }
  count(state, rows, cols, sizeof(float));
}
BENCHMARK(mean_pooling)->ArgNames({"rows", "cols"})->Args({128, 384})->Args({512, 768})->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace wde

BENCHMARK_MAIN();
