// A GEMM on weights of 16 bits is gemm() on the numbers that they are, to the last bit, whatever the shape.
#pragma once

#include <string>
#include <vector>

#include "kernels/every_target.h"
#include "kernels/gemm.h"

namespace wde::kernels::test {

using HalvesGemm = void (*)(const float* a, size_t lda, const uint16_t* packed_b, float* c, size_t ldc, size_t m,
                            size_t n, size_t k, const GemmEpilogue& epilogue) noexcept;

// weight(random): a number that 16 bits hold; pack(w, n, k): those of w[n, k] as `halves_gemm` takes them.
template <class Weight, class Pack>
void expect_same_as_gemm(const std::string& target, const Weight& weight, const Pack& pack, HalvesGemm halves_gemm) {
  for (size_t n : {1, 7, 16, 17, 32, 33, 80, 384}) {
    for (size_t k : {1, 2, 3, 12, 13, 384, 1537}) {
      if (too_slow_for(target, n * k / 100)) continue;
      SCOPED_TRACE("n " + std::to_string(n) + ", k " + std::to_string(k));
      const size_t most = 31, lda = k + 3;
      Random random(n * 1009 + k);
      const auto a = random.floats((most - 1) * lda + k), bias = random.floats((n + 15) / 16 * 16),
                 residual = random.floats(most * n);
      std::vector<float> w(n * k), packed(packed_floats(k, n));
      for (float& x : w) x = weight(random);
      pack_weight(w.data(), n, k, 0, packed.data());
      const std::vector<uint16_t> halves = pack(w, n, k);
      for (const size_t m : {size_t{1}, size_t{2}, size_t{6}, size_t{13}, size_t{15}, size_t{29}, most}) {
        for (Activation activation : {Activation::kNone, Activation::kGelu}) {
          GemmEpilogue e;
          e.bias = bias.data();
          e.residual = residual.data();
          e.residual_stride = n;
          e.activation = activation;
          std::vector<float> want((m + 1) * (n + 4), kCanary), got = want;
          gemm(a.data(), lda, packed.data(), want.data(), n + 4, m, n, k, e);
          halves_gemm(a.data(), lda, halves.data(), got.data(), n + 4, m, n, k, e);
          ASSERT_EQ(got, want) << "m " << m;
        }
      }
    }
  }
}

}  // namespace wde::kernels::test
