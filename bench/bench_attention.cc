// flash_attention by length and head size: both products and the softmax (the exp of every score) between them.
#include <benchmark/benchmark.h>

#include <cmath>

#include "base/view.h"
#include "kernels/attention.h"
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

// Q, K and V side by side, as the model has them.
void flash(benchmark::State& state, bool causal) {
  const auto length = static_cast<size_t>(state.range(0)), head_dim = static_cast<size_t>(state.range(1)),
             heads = size_t{12};
  const size_t hidden = heads * head_dim;
  Matrix qkv(length, 3 * hidden), out(length, hidden), scratch(1, kernels::flash_attention_scratch(length, head_dim));
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
  args.causal = causal;
  // The operations that the formula needs, half of them under a causal mask.
  const double pairs = static_cast<double>(length) * static_cast<double>(causal ? length + 1 : 2 * length) / 2;
  bench::measure_flops(state, 4.0 * pairs * static_cast<double>(hidden), [&] {
    kernels::flash_attention(args, scratch.view().data);
    benchmark::ClobberMemory();
  });
}

void bidirectional(benchmark::State& state) { flash(state, false); }
void causal(benchmark::State& state) { flash(state, true); }

BENCHMARK(bidirectional)
    ->ArgNames({"length", "head_dim"})
    ->ArgsProduct({{16, 32, 64, 128, 256, 512, 1024, 2048}, {32, 64}})
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(causal)
    ->ArgNames({"length", "head_dim"})
    ->ArgsProduct({{128, 512, 2048}, {64}})
    ->Threads(1)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace wde

BENCHMARK_MAIN();
