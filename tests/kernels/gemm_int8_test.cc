// quantize_rows on every instruction set, and gemm_int8 on every kernel, against plain loops over the very bytes: the
// integer sums must be exact.
#include "kernels/gemm_int8.h"

#include "kernels/every_target.h"
#include "kernels/reference.h"

namespace wde::kernels {
namespace {

using test::kCanary;
using test::kUnit;
using test::Random;

constexpr size_t kMaxRows = 31;
const std::vector<size_t> kColumns = {1, 7, 15, 16, 17, 31, 32, 33, 48, 80, 384};
const std::vector<size_t> kDepths = {1, 3, 4, 5, 12, 66, 384, 1537};

// Buffers exactly as long as the kernels may read, so that AddressSanitizer sees them read further.
struct Problem {
  Problem(size_t rows, size_t cols, size_t depth) : m(rows), n(cols), k(depth) {
    Random random(m * 1000003 + n * 1009 + k);
    x = random.floats(m * k);
    w = random.floats(n * k);
    bias = random.floats(padded());
    residual = random.floats((m - 1) * (n + 5) + n);
    weights.resize(packed_int8_bytes(k, n));
    scales.resize(padded());
    sums.resize(padded());
    bytes.resize(m * quantized_stride(k));
    pack_weight_int8(w.data(), n, k, 0, packed());
    quantize_rows(x.data(), k, m, k, rows_of_a());
  }

  size_t padded() const { return (n + kPanelCols - 1) / kPanelCols * kPanelCols; }
  PackedInt8 packed() { return {weights.data(), scales.data(), sums.data()}; }
  QuantizedRows rows_of_a() { return {bytes.data(), quantized_stride(k)}; }
  int8_t& weight(size_t col, size_t kk) {
    const size_t together = int8_in_pairs() ? 2 : 4;
    return weights[col / 16 * 64 * int8_groups(k) + kk / together * 16 * together + col % 16 * together +
                   kk % together];
  }
  // Of a row, less its zero point.
  int number(size_t row, size_t kk) {
    return int8_in_pairs() ? rows_of_a().pairs(row)[kk] : rows_of_a().bytes(row)[kk] - rows_of_a().header(row)->zero;
  }
  void fill_row(size_t row, uint8_t byte, int zero) {
    *rows_of_a().header(row) = {1.0f, int8_in_pairs() ? 0 : zero};
    for (size_t kk = 0; kk < k; ++kk) {
      if (int8_in_pairs()) {
        rows_of_a().pairs(row)[kk] = static_cast<int16_t>(byte - zero);
      } else {
        rows_of_a().bytes(row)[kk] = byte;
      }
    }
  }
  int64_t sum(size_t row, size_t col) {
    int64_t out = 0;
    for (size_t kk = 0; kk < k; ++kk) out += number(row, kk) * weight(col, kk);
    return out;
  }

  size_t m, n, k;
  std::vector<float> x, w, bias, residual, scales;
  std::vector<int8_t> weights;
  std::vector<int32_t> sums;
  std::vector<uint8_t> bytes;
};

// C with canaries: four columns behind each row, and a row's worth behind the last.
struct Output {
  Output(size_t rows, size_t cols) : m(rows), n(cols), ldc(cols + 4), values((rows + 1) * ldc, kCanary) {}
  float at(size_t row, size_t col) const { return values[row * ldc + col]; }
  void expect_canaries() const {
    size_t overwritten = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (!(i / ldc < m && i % ldc < n) && values[i] != kCanary) ++overwritten;
    }
    EXPECT_EQ(overwritten, 0u) << "floats outside C[" << m << ", " << n << "] were written";
  }
  size_t m, n, ldc;
  std::vector<float> values;
};

void run(Problem& p, const GemmEpilogue& epilogue, Output& c) {
  gemm_int8(p.rows_of_a(), p.packed(), c.values.data(), c.ldc, c.m, p.n, p.k, epilogue);
}

void expect_exact_sums(Problem& p, const GemmEpilogue& e, const Output& c) {
  size_t wrong = 0;
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t j = 0; j < p.n; ++j) {
      const double product = static_cast<double>(p.sum(i, j)) * p.rows_of_a().header(i)->scale * p.scales[j];
      double want = product, magnitude = std::abs(product);
      if (e.bias) want += e.bias[j], magnitude += std::abs(e.bias[j]);
      if (e.residual) want += e.residual[i * e.residual_stride + j], magnitude += 1;
      double tolerance = 8 * kUnit * magnitude + 1e-37;
      if (e.activation != Activation::kNone) {
        want = reference::activate(e.activation, static_cast<float>(want));
        tolerance = 1.13 * tolerance + 1e-6 * std::max(1.0, std::abs(want));
      }
      if (!(std::abs(c.at(i, j) - want) <= tolerance) && ++wrong <= 3)
        ADD_FAILURE() << "C[" << i << ", " << j << "] of m " << p.m << ", n " << p.n << ", k " << p.k << ": got "
                      << c.at(i, j) << ", want " << want;
    }
  }
  EXPECT_EQ(wrong, 0u);
}

// Of the kernels, those that this CPU has; loud about the others.
class Int8Gemm : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto runnable = int8_runnable();
    if (std::find(runnable.begin(), runnable.end(), GetParam()) == runnable.end())
      GTEST_SKIP() << "NOT TESTED: there is an int8 kernel for " << GetParam() << ", but this CPU does not have it";
    force_int8_kernel(GetParam());
    ASSERT_EQ(int8_kernel(), GetParam());
  }
  void TearDown() override { force_int8_kernel(""); }
};
INSTANTIATE_TEST_SUITE_P(Kernel, Int8Gemm, ::testing::ValuesIn(int8_compiled()), [](const auto& test_info) {
  std::string name = test_info.param;
  std::erase(name, '-');
  return name;
});

// One reference for 31 rows; fewer rows must give the very same bits, wherever the row stands among them.
TEST_P(Int8Gemm, OddShapes) {
  for (size_t n : kColumns) {
    for (size_t k : kDepths) {
      SCOPED_TRACE("n " + std::to_string(n) + ", k " + std::to_string(k));
      Problem p(kMaxRows, n, k);
      Output all(kMaxRows, n);
      run(p, {}, all);
      expect_exact_sums(p, {}, all);
      all.expect_canaries();
      for (size_t first : {0, 1, 7}) {
        for (size_t m = 1; first + m < kMaxRows; ++m) {
          Output c(m, n);
          gemm_int8(p.rows_of_a().from_row(first), p.packed(), c.values.data(), c.ldc, m, n, k, {});
          c.expect_canaries();
          ASSERT_TRUE(std::equal(c.values.begin(), c.values.begin() + static_cast<std::ptrdiff_t>(m * c.ldc),
                                 all.values.begin() + static_cast<std::ptrdiff_t>(first * c.ldc)))
              << "rows " << first << " to " << first + m << " alone have other bits";
        }
      }
    }
  }
}

TEST_P(Int8Gemm, Epilogues) {
  for (size_t n : {5, 16, 33, 80}) {
    for (Activation activation : {Activation::kNone, Activation::kGelu, Activation::kSilu, Activation::kRelu}) {
      Problem p(17, n, 100);
      GemmEpilogue e;
      e.bias = p.bias.data();
      e.residual = p.residual.data();
      e.residual_stride = n + 5;
      e.activation = activation;
      Output c(17, n);
      run(p, e, c);
      expect_exact_sums(p, e, c);
      c.expect_canaries();
      Output in_place(17, n);  // the residual is C itself
      for (size_t i = 0; i < 17; ++i) std::copy_n(&p.residual[i * (n + 5)], n, &in_place.values[i * in_place.ldc]);
      e.residual = in_place.values.data();
      e.residual_stride = in_place.ldc;
      run(p, e, in_place);
      EXPECT_EQ(in_place.values, c.values);
    }
  }
}

// C in bfloat16: what rounding the floats gives, and nothing behind a row's last.
TEST_P(Int8Gemm, Rounded) {
  if (!int8_rounds()) GTEST_SKIP() << "NOT TESTED: this kernel does not round what it stores on this CPU";
  constexpr uint16_t kUntouched = 0x1234;
  for (size_t n : kColumns) {
    for (size_t k : {3, 66, 384}) {
      for (size_t m : {1, 2, 13, 14, 15, 29, 31}) {
        SCOPED_TRACE("m " + std::to_string(m) + ", n " + std::to_string(n) + ", k " + std::to_string(k));
        Problem p(m, n, k);
        GemmEpilogue e;
        e.bias = p.bias.data();
        Output floats(m, n);
        run(p, e, floats);
        const size_t stride = n + 4;
        std::vector<uint16_t> want((m + 1) * stride, kUntouched), got = want;
        for (size_t i = 0; i < m; ++i) {
          for (size_t j = 0; j < n; ++j) want[i * stride + j] = to_bf16(floats.at(i, j));
        }
        gemm_int8_rounded(p.rows_of_a(), p.packed(), {got.data(), stride}, m, n, k, e);
        ASSERT_EQ(got, want);
      }
    }
  }
}

// Panels of a wider weight: what a member of a team computes.
TEST_P(Int8Gemm, FromColumn) {
  Problem p(9, 80, 50);
  Output all(9, 80), part(9, 48);
  GemmEpilogue e;
  e.bias = p.bias.data();
  run(p, e, all);
  e.bias = p.bias.data() + 32;
  gemm_int8(p.rows_of_a(), p.packed().from_column(32, 50), part.values.data(), part.ldc, 9, 48, 50, e);
  for (size_t i = 0; i < 9; ++i) {
    for (size_t j = 0; j < 48; ++j) EXPECT_EQ(part.at(i, j), all.at(i, 32 + j));
  }
}

// All bytes at the ends of their ranges, all signs alike or in turn, at depths where a saturated pair or a sum of
// 24 bits would show.
TEST_P(Int8Gemm, NothingSaturates) {
  for (size_t k : {2, 4, 64, 3072, 65536}) {
    Problem p(3, 16, 4);  // for its types; the operands are made here
    p.m = 3, p.n = 16, p.k = k;
    p.weights.assign(packed_int8_bytes(k, 16), 0);
    p.bytes.assign(3 * quantized_stride(k), 0);
    const int max = 127;
    for (size_t col = 0; col < 16; ++col) {
      int32_t sum = 0;
      for (size_t kk = 0; kk < k; ++kk) {
        const int value = col % 4 == 0 ? max : col % 4 == 1 ? -max : (kk + col) % 2 == 0 ? max : -max;
        p.weight(col, kk) = static_cast<int8_t>(value);
        sum += value;
      }
      p.sums[col] = sum;
      p.scales[col] = 1.0f;
    }
    const int zeros[] = {0, 255, 128};
    for (size_t row = 0; row < 3; ++row) p.fill_row(row, row == 1 ? uint8_t{0} : uint8_t{255}, zeros[row]);
    Output c(3, 16);
    run(p, {}, c);
    for (size_t row = 0; row < 3; ++row) {
      for (size_t col = 0; col < 16; ++col)
        EXPECT_EQ(c.at(row, col), static_cast<float>(p.sum(row, col)))
            << "k " << k << ", row " << row << ", column " << col;
    }
  }
}

// Not beyond what 8 bits must cost: the error of a product of unit-scale rows, against float64 on the floats.
TEST_P(Int8Gemm, IsNearTheFloatProduct) {
  Problem p(16, 64, 384);
  Output c(16, 64);
  run(p, {}, c);
  double squares = 0, errors = 0;
  for (size_t i = 0; i < 16; ++i) {
    for (size_t j = 0; j < 64; ++j) {
      double want = 0;
      for (size_t kk = 0; kk < 384; ++kk) want += static_cast<double>(p.x[i * 384 + kk]) * p.w[j * 384 + kk];
      squares += want * want;
      errors += (want - c.at(i, j)) * (want - c.at(i, j));
    }
  }
  EXPECT_LT(std::sqrt(errors / squares), 0.008);
}

TEST_P(Int8Gemm, NotANumberStaysOne) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    for (size_t at : {0, 37, 69}) {
      Problem p(3, 20, 70);
      p.x[70 + at] = bad;
      quantize_rows(p.x.data(), 70, 3, 70, p.rows_of_a());
      Output c(3, 20);
      run(p, {}, c);
      for (size_t j = 0; j < 20; ++j) {
        EXPECT_FALSE(std::isnan(c.at(0, j)));
        EXPECT_TRUE(std::isnan(c.at(1, j)));
        EXPECT_FALSE(std::isnan(c.at(2, j)));
      }
      p.x[70 + at] = 0;
      p.w[3 * 70 + at] = bad;
      quantize_rows(p.x.data(), 70, 3, 70, p.rows_of_a());
      pack_weight_int8(p.w.data(), 20, 70, 0, p.packed());
      run(p, {}, c);
      for (size_t j = 0; j < 20; ++j) EXPECT_EQ(std::isnan(c.at(0, j)), j == 3);
    }
  }
}

TEST_P(Int8Gemm, NoRowsNoColumns) {
  Problem p(1, 5, 9);
  Output untouched(0, 5);
  run(p, {}, untouched);
  gemm_int8(p.rows_of_a(), p.packed(), untouched.values.data(), untouched.ldc, 1, 0, 9, {});
  untouched.expect_canaries();
}

TEST_P(Int8Gemm, PackingInPartsIsTheSame) {
  Problem p(1, 51, 13), parts(1, 51, 13);
  std::fill(parts.weights.begin(), parts.weights.end(), int8_t{0});
  pack_weight_int8(p.w.data() + 20 * 13, 31, 13, 20, parts.packed());
  pack_weight_int8(p.w.data(), 20, 13, 0, parts.packed());
  EXPECT_EQ(parts.weights, p.weights);
  EXPECT_EQ(parts.scales, p.scales);
  EXPECT_EQ(parts.sums, p.sums);
}

class QuantizeRows : public test::EveryTarget {
 protected:
  void SetUp() override {
    test::EveryTarget::SetUp();
    force_int8_kernel("PORTABLE");
  }
  void TearDown() override {
    force_int8_kernel("");
    test::EveryTarget::TearDown();
  }
};
WDE_FOR_EVERY_TARGET(QuantizeRows);

// The bytes of plain loops, on every instruction set: the integer sums are the same on every CPU.
TEST_P(QuantizeRows, BytesOfThePlainLoop) {
  for (size_t k : {1, 3, 15, 16, 17, 31, 33, 64, 100, 384, 1537}) {
    for (float offset : {0.0f, 0.9f, -3.0f}) {
      const size_t rows = 3, stride = quantized_stride(k);
      auto x = Random(k).floats(rows * k);
      for (float& value : x) value += offset;
      if (k > 3) x[2] = 50.0f;  // an outlier
      std::vector<uint8_t> bytes(rows * stride);
      const QuantizedRows out{bytes.data(), stride};
      quantize_rows(x.data(), k, rows, k, out);
      for (size_t row = 0; row < rows; ++row) {
        float low = 0, high = 0;
        for (size_t i = 0; i < k; ++i) low = std::min(low, x[row * k + i]), high = std::max(high, x[row * k + i]);
        const float half = 0.5f * high - 0.5f * low, inverse = 127.5f / half;
        const auto zero = static_cast<int>(std::nearbyint(-low * inverse));
        ASSERT_EQ(out.header(row)->scale, half * (1.0f / 127.5f));
        ASSERT_EQ(out.header(row)->zero, zero);
        for (size_t i = 0; i < k; ++i) {
          const double number = static_cast<double>(x[row * k + i] * inverse) + zero;  // one rounding behind it
          const int want = std::clamp(static_cast<int>(std::nearbyint(number)), 0, 255);
          ASSERT_EQ(out.bytes(row)[i], want) << "k " << k << ", row " << row << ", at " << i;
        }
      }
    }
  }
}

// Rounding may carry the ends of the range beyond it, by one at most, and never around: a 256 would be a 0.
TEST_P(QuantizeRows, NoneWrapsAround) {
  constexpr size_t k = 32;
  std::vector<uint8_t> bytes(quantized_stride(k));
  const QuantizedRows out{bytes.data(), quantized_stride(k)};
  for (size_t seed = 0; seed < 20000; ++seed) {
    auto x = Random(seed).floats(k);
    const float offset = static_cast<float>(seed % 41) * 0.05f - 1.0f;
    const float size = std::ldexp(1.0f, static_cast<int>(seed % 60) - 30);
    for (float& value : x) value = (value + offset) * size;
    if (seed % 3 == 0) {
      for (float& value : x) value = std::round(value / size * 100) * 0.5f * size;  // ties
    }
    quantize_rows(x.data(), k, 1, k, out);
    const QuantizedRow header = *out.header(0);
    for (size_t i = 0; i < k; ++i) {
      const float back = header.scale * static_cast<float>(out.bytes(0)[i] - header.zero);
      ASSERT_LE(std::abs(back - x[i]), 1.001f * header.scale) << "seed " << seed << ", at " << i;
    }
  }
}

// In pairs they are the same numbers, less the zero point.
TEST_P(QuantizeRows, PairsAreTheBytes) {
  for (size_t k : {1, 3, 15, 16, 17, 31, 33, 64, 100, 384, 1537}) {
    for (float offset : {0.0f, 0.9f, -3.0f}) {
      const size_t rows = 3, stride = quantized_stride(k);
      auto x = Random(k).floats(rows * k);
      for (float& value : x) value += offset;
      std::vector<uint8_t> bytes(rows * stride), pairs(rows * stride);
      const QuantizedRows in_bytes{bytes.data(), stride}, in_pairs{pairs.data(), stride};
      force_int8_kernel("PORTABLE");
      quantize_rows(x.data(), k, rows, k, in_bytes);
      force_int8_kernel("AVX2");
      if (!int8_in_pairs()) GTEST_SKIP() << "NOT TESTED: this CPU has no kernel that takes pairs";
      quantize_rows(x.data(), k, rows, k, in_pairs);
      for (size_t row = 0; row < rows; ++row) {
        EXPECT_EQ(in_pairs.header(row)->scale, in_bytes.header(row)->scale);
        EXPECT_EQ(in_pairs.header(row)->zero, 0);
        for (size_t i = 0; i < k; ++i)
          ASSERT_EQ(in_pairs.pairs(row)[i], in_bytes.bytes(row)[i] - in_bytes.header(row)->zero) << "k " << k;
      }
    }
  }
}

TEST_P(QuantizeRows, ZerosAndExtremes) {
  const size_t k = 20;
  const float max = std::numeric_limits<float>::max();
  for (float value : {0.0f, -0.0f, 1e-38f, 1e-30f, 0.99f * max, -0.99f * max}) {
    std::vector<float> x(k, value);
    x[1] = -value;
    std::vector<uint8_t> bytes(quantized_stride(k));
    const QuantizedRows out{bytes.data(), quantized_stride(k)};
    quantize_rows(x.data(), k, 1, k, out);
    const QuantizedRow header = *out.header(0);
    for (size_t i = 0; i < k; ++i) {
      const float back = header.scale * static_cast<float>(out.bytes(0)[i] - header.zero);
      EXPECT_LE(std::abs(back - x[i]), std::max(1e-29f, std::abs(value) / 127)) << value;
    }
  }
}

}  // namespace
}  // namespace wde::kernels
