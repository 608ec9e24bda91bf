// gemm and pack_weight against the reference's plain loops, and the promise that a row's result depends on that row
// alone.
#include "kernels/gemm.h"

#include "kernels/every_target.h"
#include "kernels/reference.h"

namespace wde::kernels {
namespace {

using test::kCanary;
using test::kUnit;
using test::Random;

constexpr size_t kMaxRows = 31;
const std::vector<size_t> kColumns = {1, 7, 15, 16, 17, 31, 32, 33, 48, 80, 384};
const std::vector<size_t> kDepths = {1, 3, 12, 384, 1536};
const std::vector<Activation> kActivations = {Activation::kNone,      Activation::kGelu,   Activation::kGeluTanh,
                                              Activation::kQuickGelu, Activation::kRelu,   Activation::kSilu,
                                              Activation::kTanh,      Activation::kSigmoid};

// Operands of one shape. The vectors are exactly as long as gemm may read, so that AddressSanitizer sees it read
// further.
struct Problem {
  Problem(size_t rows, size_t cols, size_t depth)
      : m(rows), n(cols), k(depth), lda(depth + 3), a((rows - 1) * lda + depth), packed(packed_floats(depth, cols)) {
    Random random(m * 1000003 + n * 1009 + k);
    a = random.floats(a.size());
    w = random.floats(n * k);
    bias = random.floats((n + kPanelCols - 1) / kPanelCols * kPanelCols);
    residual_stride = n + 5;
    residual = random.floats((m - 1) * residual_stride + n);
    pack_weight(w.data(), n, k, 0, packed.data());
  }

  // The sum of |a| |b| behind one element, which bounds its rounding errors.
  double magnitude(size_t row, size_t col) const {
    double sum = 0;
    for (size_t kk = 0; kk < k; ++kk) sum += std::abs(static_cast<double>(a[row * lda + kk]) * w[col * k + kk]);
    return sum;
  }

  size_t m, n, k, lda, residual_stride = 0;
  std::vector<float> a, w, packed, bias, residual;
};

// C with canaries: `pad` columns behind each row and a row's worth behind the last.
struct Output {
  Output(size_t rows, size_t cols, size_t pad = 4)
      : m(rows), n(cols), ldc(cols + pad), values((rows + 1) * ldc, kCanary) {}

  float at(size_t row, size_t col) const { return values[row * ldc + col]; }
  void expect_canaries() const {
    size_t overwritten = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const bool inside = i / ldc < m && i % ldc < n;
      if (!inside && values[i] != kCanary) ++overwritten;
    }
    EXPECT_EQ(overwritten, 0u) << "floats outside C[" << m << ", " << n << "] were written";
  }

  size_t m, n, ldc;
  std::vector<float> values;
};

void run(const Problem& p, const GemmEpilogue& epilogue, Output& c) {
  gemm(p.a.data(), p.lda, p.packed.data(), c.values.data(), c.ldc, c.m, p.n, p.k, epilogue);
}

// A chain of k roundings of partial sums: in the worst case k units of the magnitude, with independent roundings below
// one. 8 is beyond what a systematic rounding would stay under for the deep shapes, and rigorous for the shallow ones.
double product_tolerance(double magnitude) { return 8 * kUnit * magnitude + 1e-37; }

void expect_near_reference(const Problem& p, const GemmEpilogue& epilogue, const Output& c) {
  Output want(p.m, p.n);
  reference::linear(p.a.data(), p.lda, p.w.data(), epilogue.bias, epilogue.residual, epilogue.residual_stride,
                    epilogue.activation, want.values.data(), want.ldc, p.m, p.n, p.k);
  size_t wrong = 0;
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t j = 0; j < p.n; ++j) {
      double magnitude = p.magnitude(i, j);
      if (epilogue.bias) magnitude += 1;
      if (epilogue.residual) magnitude += 1;
      // No activation is steeper than 1.13; its own error is measured in activation_test.
      double tolerance = product_tolerance(magnitude);
      if (epilogue.activation != Activation::kNone)
        tolerance = 1.13 * tolerance + 1e-6 * std::max(1.0, std::abs(static_cast<double>(want.at(i, j))));
      const double error = std::abs(static_cast<double>(c.at(i, j)) - want.at(i, j));
      if (!(error <= tolerance) && ++wrong <= 3) {
        ADD_FAILURE() << "C[" << i << ", " << j << "] of m " << p.m << ", n " << p.n << ", k " << p.k << ": got "
                      << c.at(i, j) << ", want " << want.at(i, j) << ", off by " << error << " > " << tolerance;
      }
    }
  }
  EXPECT_EQ(wrong, 0u);
}

class Gemm : public test::EveryTarget {};
WDE_FOR_EVERY_TARGET(Gemm);

// One reference for 31 rows; fewer rows must give the very same bits.
TEST_P(Gemm, OddShapes) {
  for (size_t n : kColumns) {
    for (size_t k : kDepths) {
      SCOPED_TRACE("n " + std::to_string(n) + ", k " + std::to_string(k));
      const Problem p(kMaxRows, n, k);
      Output all(kMaxRows, n);
      run(p, {}, all);
      expect_near_reference(p, {}, all);
      all.expect_canaries();
      for (size_t m = 1; m < kMaxRows; ++m) {
        Output c(m, n);
        run(p, {}, c);
        c.expect_canaries();
        ASSERT_TRUE(
            std::equal(c.values.begin(), c.values.begin() + static_cast<std::ptrdiff_t>(m * c.ldc), all.values.begin()))
            << "with " << m << " rows the bits differ from those with " << kMaxRows;
      }
    }
  }
}

// The blocks of rows that stay in the L2 cache begin anew at 168: a row's bits must not show on which side it lies.
TEST_P(Gemm, RowIsTheSameWhereverItStands) {
  for (size_t m : {167, 168, 169, 337, 505}) {
    const size_t n = 49, k = 96;
    Problem p(m, n, k);
    for (size_t row = 1; row < m; ++row)
      std::copy_n(p.a.begin(), k, p.a.begin() + static_cast<std::ptrdiff_t>(row * p.lda));
    GemmEpilogue epilogue;
    epilogue.bias = p.bias.data();
    epilogue.activation = Activation::kGelu;
    Output c(m, n);
    run(p, epilogue, c);
    c.expect_canaries();
    size_t different = 0;
    for (size_t row = 1; row < m; ++row) {
      for (size_t col = 0; col < n; ++col) different += c.at(row, col) != c.at(0, col) ? 1 : 0;
    }
    EXPECT_EQ(different, 0u) << "m " << m;
  }
}

// A column's bits must not depend on the tile that it falls into either: the same weight row in every column.
TEST_P(Gemm, ColumnIsTheSameWhereverItStands) {
  const size_t n = 80;
  for (size_t k : {size_t{12}, size_t{384}}) {
    Problem p(9, n, k);
    for (size_t col = 1; col < n; ++col)
      std::copy_n(p.w.begin(), k, p.w.begin() + static_cast<std::ptrdiff_t>(col * k));
    pack_weight(p.w.data(), n, k, 0, p.packed.data());
    Output c(9, n);
    run(p, {}, c);
    for (size_t row = 0; row < 9; ++row) {
      for (size_t col = 1; col < n; ++col)
        ASSERT_EQ(c.at(row, col), c.at(row, 0)) << "row " << row << ", column " << col;
    }
  }
}

TEST_P(Gemm, Epilogues) {
  for (size_t m : {1, 5, 14, 29}) {
    for (size_t n : {1, 16, 33, 48}) {
      for (size_t k : {3, 48}) {
        const Problem p(m, n, k);
        for (Activation activation : kActivations) {
          for (bool with_bias : {false, true}) {
            for (bool with_residual : {false, true}) {
              SCOPED_TRACE("activation " + std::to_string(static_cast<int>(activation)) + (with_bias ? ", bias" : "") +
                           (with_residual ? ", residual" : ""));
              GemmEpilogue epilogue;
              epilogue.activation = activation;
              if (with_bias) epilogue.bias = p.bias.data();
              if (with_residual) epilogue.residual = p.residual.data(), epilogue.residual_stride = p.residual_stride;
              Output c(m, n);
              run(p, epilogue, c);
              expect_near_reference(p, epilogue, c);
              c.expect_canaries();
            }
          }
        }
      }
    }
  }
}

TEST_P(Gemm, ResidualInPlace) {
  for (size_t m : {1, 14, 200}) {
    for (size_t n : {7, 33, 48}) {
      const Problem p(m, n, 40);
      GemmEpilogue apart;
      apart.bias = p.bias.data();
      apart.residual = p.residual.data();
      apart.residual_stride = p.residual_stride;
      Output want(m, n), c(m, n);
      run(p, apart, want);
      for (size_t i = 0; i < m; ++i)
        std::copy_n(p.residual.data() + i * p.residual_stride, n, c.values.data() + i * c.ldc);
      GemmEpilogue in_place = apart;
      in_place.residual = c.values.data();
      in_place.residual_stride = c.ldc;
      run(p, in_place, c);
      EXPECT_EQ(c.values, want.values);  // canaries included
    }
  }
}

// The activation is applied behind the stored tile, so it must not run over columns twice or leave some out.
TEST_P(Gemm, ActivationIsAppliedOnceToEveryElement) {
  const Problem p(15, 83, 4);
  Output plain(15, 83), activated(15, 83);
  run(p, {}, plain);
  GemmEpilogue epilogue;
  epilogue.activation = Activation::kTanh;
  run(p, epilogue, activated);
  activate(Activation::kTanh, plain.values.data(), 15, 83, plain.ldc);
  EXPECT_EQ(activated.values, plain.values);
}

// A depth of zero is an empty sum: the epilogue alone.
TEST_P(Gemm, NoDepthNoRowsNoColumns) {
  const std::vector<float> bias(16, 2.5f);
  const float none = 0;
  GemmEpilogue epilogue;
  epilogue.bias = bias.data();
  Output c(3, 5);
  gemm(&none, 0, &none, c.values.data(), c.ldc, 3, 5, 0, epilogue);
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 5; ++j) EXPECT_EQ(c.at(i, j), 2.5f);
  }
  c.expect_canaries();
  Output untouched(0, 5);
  gemm(&none, 0, &none, untouched.values.data(), untouched.ldc, 0, 5, 1, epilogue);
  gemm(&none, 0, &none, untouched.values.data(), untouched.ldc, 1, 0, 1, epilogue);
  untouched.expect_canaries();
}

TEST(PackWeight, LaysOutPanelsOfSixteenColumns) {
  const size_t n = 19, k = 5;
  const auto w = Random(3).floats(n * k);
  std::vector<float> packed(packed_floats(k, n) + 1);
  packed.back() = kCanary;
  pack_weight(w.data(), n, k, 0, packed.data());
  EXPECT_EQ(packed.back(), kCanary);
  for (size_t col = 0; col < 32; ++col) {
    for (size_t kk = 0; kk < k; ++kk) {
      EXPECT_EQ(packed[col / 16 * 16 * k + kk * 16 + col % 16], col < n ? w[col * k + kk] : 0.0f) << col << ", " << kk;
    }
  }
}

// Q, K and V side by side are one weight; their borders need not be those of a panel.
TEST(PackWeight, ColumnOffsets) {
  const size_t k = 12;
  for (size_t width : {1, 5, 16, 48, 51}) {
    const auto q = Random(1).floats(width * k), key = Random(2).floats(width * k), v = Random(3).floats(width * k);
    std::vector<float> all = q;
    all.insert(all.end(), key.begin(), key.end());
    all.insert(all.end(), v.begin(), v.end());
    std::vector<float> want(packed_floats(k, 3 * width)), packed(want.size());
    pack_weight(all.data(), 3 * width, k, 0, want.data());
    pack_weight(v.data(), width, k, 2 * width, packed.data());
    pack_weight(q.data(), width, k, 0, packed.data());
    pack_weight(key.data(), width, k, width, packed.data());
    EXPECT_EQ(packed, want) << "width " << width;
  }
}

}  // namespace
}  // namespace wde::kernels
