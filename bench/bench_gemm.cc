// The GEMMs of a BERT layer, with their epilogues, by batch size: MiniLM (hidden size 384), BERT-base (768) and
// BERT-large (1024).
#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "base/view.h"
#include "kernels/gemm.h"
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

// One weight for all threads, as the workers of an engine share it.
const AlignedBuffer& packed_weight(size_t n, size_t k) {
  static std::mutex mutex;
  static std::map<std::pair<size_t, size_t>, AlignedBuffer> weights;
  std::scoped_lock lock(mutex);
  auto& buffer = weights[{n, k}];
  if (buffer.data() == nullptr) {
    Matrix w(n, k, k);
    fill(w.view().data, n * k, 0.05f);
    buffer = AlignedBuffer(kernels::packed_floats(k, n) * sizeof(float));
    kernels::pack_weight(w.view().data, n, k, 0, buffer.floats());
  }
  return buffer;
}

void gemm(benchmark::State& state, size_t m, size_t n, size_t k, Epilogue kind) {
  const AlignedBuffer& packed = packed_weight(n, k);
  Matrix a(m, k), c(m, n), residual(m, n), bias(1, n, n + kernels::kPanelCols);
  fill(a.view().data, m * a.view().stride, 1.0f);
  fill(bias.view().data, n, 0.1f);
  kernels::GemmEpilogue epilogue;
  epilogue.bias = bias.view().data;
  if (kind == Epilogue::kGelu) epilogue.activation = Activation::kGelu;
  if (kind == Epilogue::kResidual)
    epilogue.residual = residual.view().data, epilogue.residual_stride = residual.view().stride;
  bench::measure_flops(state, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k), [&] {
    kernels::gemm(a.view().data, a.view().stride, packed.floats(), c.view().data, c.view().stride, m, n, k, epilogue);
    benchmark::ClobberMemory();
  });
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
        const std::string title = std::string(name) + "/" + s.step + "/m:" + std::to_string(m) +
                                  "/n:" + std::to_string(s.n) + "/k:" + std::to_string(s.k);
        for (int threads : {1, 2}) {
          benchmark::RegisterBenchmark(title.c_str(),
                                       [m, s](benchmark::State& state) { gemm(state, m, s.n, s.k, s.epilogue); })
              ->Threads(threads)
              ->UseRealTime()
              ->Unit(benchmark::kMicrosecond);
        }
      }
    }
  }
}

}  // namespace
}  // namespace wde

int main(int argc, char** argv) {
  wde::add_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
