// The GEMMs of a BERT layer, with their epilogues, by format of the weights and batch size: MiniLM (hidden size 384),
// BERT-base (768) and BERT-large (1024). int8's share of the peak is that of the byte products where the CPU has VNNI;
// quantising the activations is part of it.
//
// WDE_BENCH_KERNELS=AVX2 measures what a CPU without AVX-512 would run, WDE_BENCH_INT8_KERNEL one of the int8 kernels
// (`wde doctor` lists them).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "base/view.h"
#include "kernels/bf16_choice.h"
#include "kernels/dispatch.h"
#include "kernels/gemm.h"
#include "kernels/gemm_bf16.h"
#include "kernels/gemm_f16.h"
#include "kernels/gemm_int8.h"
#include "peak.h"

namespace wde {
namespace {

enum class Epilogue { kBias, kGelu, kResidual };

// Numbers of the size that activations have; zeros would hide denormals and cost nothing to multiply.
void fill(float* x, size_t n, float amplitude) {
  uint32_t state = 12345;
  for (size_t i = 0; i < n; ++i) {
    state = state * 1664525u + 1013904223u;
    x[i] = amplitude * static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
}

// One weight in every format.
struct Weight {
  AlignedBuffer floats, f16, bf16, int8, scales, sums;
  kernels::PackedInt8 packed_int8() const {
    return {static_cast<int8_t*>(int8.data()), scales.floats(), static_cast<int32_t*>(sums.data())};
  }
};

// One weight for all threads, as the workers of an engine share it.
const Weight& packed_weight(size_t n, size_t k) {
  static std::mutex mutex;
  static std::map<std::pair<size_t, size_t>, Weight> weights;
  std::scoped_lock lock(mutex);
  Weight& out = weights[{n, k}];
  if (out.floats.data() == nullptr) {
    Matrix w(n, k, k);
    fill(w.view().data, n * k, 0.05f);
    out.floats = AlignedBuffer(kernels::packed_floats(k, n) * sizeof(float));
    kernels::pack_weight(w.view().data, n, k, 0, out.floats.floats());
    // The numbers do not count, and need not be what the other formats have.
    out.f16 = AlignedBuffer(kernels::packed_floats(k, n) * sizeof(uint16_t));
    kernels::pack_weight_f16(w.view().data, n, k, 0, static_cast<uint16_t*>(out.f16.data()));
    out.bf16 = AlignedBuffer(kernels::packed_bf16_halves(k, n) * sizeof(uint16_t));
    kernels::pack_weight_bf16(w.view().data, n, k, 0, static_cast<uint16_t*>(out.bf16.data()));
    out.int8 = AlignedBuffer(kernels::packed_int8_bytes(k, n));
    out.scales = AlignedBuffer((n + kernels::kPanelCols) * sizeof(float));
    out.sums = AlignedBuffer((n + kernels::kPanelCols) * sizeof(int32_t));
    kernels::pack_weight_int8(w.view().data, n, k, 0, out.packed_int8());
  }
  return out;
}

enum class Format { kFloat32, kFloat16Weights, kBfloat16Weights, kBfloat16, kInt8 };

void gemm(benchmark::State& state, Format format, size_t m, size_t n, size_t k, Epilogue kind) {
  const Weight& packed = packed_weight(n, k);
  const size_t stride = kernels::quantized_stride(k);
  const AlignedBuffer bytes(m * std::max(stride, kernels::bf16_row_stride(k) * sizeof(uint16_t)));
  const kernels::QuantizedRows rows{static_cast<uint8_t*>(bytes.data()), stride};
  Matrix a(m, k), c(m, n), residual(m, n), bias(1, n, n + kernels::kPanelCols);
  fill(a.view().data, m * a.view().stride, 1.0f);
  fill(bias.view().data, n, 0.1f);
  kernels::GemmEpilogue epilogue;
  epilogue.bias = bias.view().data;
  if (kind == Epilogue::kGelu) epilogue.activation = Activation::kGelu;
  if (kind == Epilogue::kResidual)
    epilogue.residual = residual.view().data, epilogue.residual_stride = residual.view().stride;
  const View<float> x = a.view(), y = c.view();
  const auto pass = [&] {
    if (format == Format::kInt8) {
      kernels::quantize_rows(x.data, x.stride, m, k, rows);
      kernels::gemm_int8(rows, packed.packed_int8(), y.data, y.stride, m, n, k, epilogue);
    } else if (format == Format::kBfloat16 && kernels::bf16_pairs()) {
      const kernels::Bf16Rows halves{static_cast<uint16_t*>(bytes.data()), kernels::bf16_row_stride(k)};
      kernels::round_rows(x.data, x.stride, m, k, halves);
      kernels::gemm_bf16_pairs(halves, static_cast<const uint16_t*>(packed.bf16.data()), y.data, y.stride, m, n, k,
                               epilogue);
    } else if (format == Format::kFloat16Weights) {
      kernels::gemm_f16(x.data, x.stride, static_cast<const uint16_t*>(packed.f16.data()), y.data, y.stride, m, n, k,
                        epilogue);
    } else if (format != Format::kFloat32) {
      kernels::gemm_bf16(x.data, x.stride, static_cast<const uint16_t*>(packed.bf16.data()), y.data, y.stride, m, n, k,
                         epilogue);
    } else {
      kernels::gemm(x.data, x.stride, packed.floats.floats(), y.data, y.stride, m, n, k, epilogue);
    }
    benchmark::ClobberMemory();
  };
  const bool bytes_peak = format == Format::kInt8 && bench::byte_loop() != nullptr;
  bench::measure_flops(state, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k), pass,
                       bytes_peak ? bench::byte_loop() : bench::fma_loop());
}

void add_benchmarks() {
  for (const auto& [name, hidden, inner] :
       {std::tuple{"minilm", size_t{384}, size_t{1536}}, {"base", 768, 3072}, {"large", 1024, 4096}}) {
    struct Shape {
      const char* step;
      size_t n, k;
      Epilogue epilogue;
    };
    for (const Shape& s :
         {Shape{"qkv", 3 * hidden, hidden, Epilogue::kBias}, Shape{"out", hidden, hidden, Epilogue::kResidual},
          Shape{"up_gelu", inner, hidden, Epilogue::kGelu}, Shape{"down", hidden, inner, Epilogue::kResidual}}) {
      for (size_t m : {192, 480, 1062}) {
        for (const auto& [format, label] : {std::pair{Format::kFloat32, ""},
                                            {Format::kFloat16Weights, "f16_weights/"},
                                            {Format::kBfloat16Weights, "bf16_weights/"},
                                            {Format::kBfloat16, "bf16/"},
                                            {Format::kInt8, "int8/"}}) {
          const std::string title = std::string(label) + name + "/" + s.step + "/m:" + std::to_string(m) +
                                    "/n:" + std::to_string(s.n) + "/k:" + std::to_string(s.k);
          for (int threads : {1, 2}) {
            benchmark::RegisterBenchmark(
                title.c_str(),
                [m, s, format = format](benchmark::State& state) { gemm(state, format, m, s.n, s.k, s.epilogue); })
                ->Threads(threads)
                ->UseRealTime()
                ->Unit(benchmark::kMicrosecond);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace wde

int main(int argc, char** argv) {
  if (const char* const name = std::getenv("WDE_BENCH_KERNELS")) {
    wde::kernels::force_target(name);
    wde::kernels::force_int8_kernel(name);
  }
  if (const char* const name = std::getenv("WDE_BENCH_INT8_KERNEL")) wde::kernels::force_int8_kernel(name);
  wde::add_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
