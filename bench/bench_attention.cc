// flash_attention by length and head size: both products and the softmax (the exp of every score) between them.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/view.h"
#include "kernels/attention.h"
#include "kernels/bf16_choice.h"
#include "peak.h"

namespace wde {
namespace {

void fill(View<float> x) {
  uint32_t state = 99;
  for (size_t r = 0; r < x.rows; ++r) {
    for (size_t c = 0; c < x.cols; ++c) {
      state = state * 1664525u + 1013904223u;
      x.row(r)[c] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
    }
  }
}

struct Mask {
  bool causal = false, soft_cap = false, alibi = false, relative_bias = false, disentangled = false, bf16 = false;
  int64_t window = kernels::kNoWindow;  // on both sides
  void (*kernel)(const kernels::AttentionArgs&, float*) noexcept = kernels::flash_attention;
};

// Q, K and V side by side, as the model has them.
void attend(benchmark::State& state, const Mask& mask) {
  const auto length = static_cast<size_t>(state.range(0)), head_dim = static_cast<size_t>(state.range(1)),
             heads = size_t{12}, positions = size_t{512};
  const size_t hidden = heads * head_dim, tables = mask.disentangled ? length : 1;
  Matrix qkv(length, 3 * hidden), out(length, hidden), scratch(1, kernels::flash_attention_scratch(length, head_dim)),
      bias(heads, 2 * length - 1, 2 * length - 1), slopes(1, heads), c2p(tables, heads * positions),
      p2c(tables, heads * positions);
  std::vector<int32_t> index;
  for (size_t i = 0; i < 2 * length - 1; ++i) {  // as DeBERTa's, without its logarithm
    const int64_t distance = static_cast<int64_t>(length) - 1 - static_cast<int64_t>(i);
    index.push_back(static_cast<int32_t>(std::clamp(distance + 256, int64_t{0}, int64_t{511})));
  }
  fill(qkv.view());
  kernels::AttentionArgs args;
  args.q = qkv.view().data;
  args.k = args.q + hidden;
  args.v = args.k + hidden;
  args.out = out.view().data;
  args.q_stride = args.k_stride = args.v_stride = qkv.view().stride;
  args.out_stride = out.view().stride;
  args.q_len = args.k_len = length;
  args.num_heads = args.num_kv_heads = heads;
  args.head_dim = head_dim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  args.causal = mask.causal;
  args.bf16 = mask.bf16;
  args.window_left = args.window_right = mask.window;
  args.relative_span = length;
  if (mask.soft_cap) args.soft_cap = 50;
  if (mask.alibi) args.alibi_slopes = slopes.view().data;
  if (mask.relative_bias) args.relative_bias = bias.view().data;
  if (mask.disentangled) {
    args.c2p = c2p.view().data;
    args.p2c = p2c.view().data;
    args.c2p_stride = args.p2c_stride = c2p.view().stride;
    args.positions = positions;
    args.relative_index = index.data();
  }
  // The operations of both products for the keys that are seen.
  double pairs = 0;
  for (size_t i = 0; i < length; ++i) {
    const size_t reach = mask.window < 0 ? length : static_cast<size_t>(mask.window);
    const size_t end = mask.causal ? i + 1 : std::min(length, i + reach + 1);
    pairs += static_cast<double>(end - (i > reach ? i - reach : 0));
  }
  bench::measure_flops(state, 4.0 * pairs * static_cast<double>(hidden), [&] {
    mask.kernel(args, scratch.view().data);
    benchmark::ClobberMemory();
  });
}

void bidirectional(benchmark::State& state) { attend(state, {}); }
void bf16(benchmark::State& state) {
  if (kernels::bf16_pair_cost() == 0) return state.SkipWithError("this CPU does not multiply pairs of bfloat16");
  attend(state, {.bf16 = true});
}
void causal(benchmark::State& state) { attend(state, {.causal = true}); }
void window_128(benchmark::State& state) { attend(state, {.window = 64}); }
void soft_cap(benchmark::State& state) { attend(state, {.soft_cap = true}); }
void alibi(benchmark::State& state) { attend(state, {.alibi = true}); }
void relative_bias(benchmark::State& state) { attend(state, {.relative_bias = true}); }
void disentangled(benchmark::State& state) { attend(state, {.disentangled = true}); }
void memory_efficient(benchmark::State& state) { attend(state, {.kernel = kernels::chunked_attention}); }

BENCHMARK(bidirectional)
    ->ArgNames({"length", "head_dim"})
    ->ArgsProduct({{16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192}, {32, 64}})
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void by_length(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"length", "head_dim"})->ArgsProduct({{128, 512, 2048, 8192}, {64}})->Threads(1);
  benchmark->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(bf16)->Apply(by_length);
BENCHMARK(causal)->Apply(by_length);
BENCHMARK(window_128)->Apply(by_length);
BENCHMARK(memory_efficient)->Apply(by_length);
void features(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"length", "head_dim"})->ArgsProduct({{128, 512, 2048}, {64}})->Threads(1);
  benchmark->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(soft_cap)->Apply(features);
BENCHMARK(alibi)->Apply(features);
BENCHMARK(relative_bias)->Apply(features);
BENCHMARK(disentangled)->Apply(features);

}  // namespace
}  // namespace wde

BENCHMARK_MAIN();
