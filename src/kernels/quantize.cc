#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize.cc"  // NOLINT
#include <hwy/foreach_target.h>                   // NOLINT(build/include_order)

#include <hwy/highway.h>

#include "kernels/gemm_int8.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The least and the greatest of the row and 0 make the scale; every operation is rounded the same on all instruction
// sets, so the bytes are the same too.
void quantize_row(const float* HWY_RESTRICT x, size_t k, QuantizedRow& header, uint8_t* HWY_RESTRICT out,
                  int16_t* HWY_RESTRICT pairs) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  auto low = hn::Zero(d), high = low, poison = low;
  auto low1 = low, high1 = low, poison1 = low;
  size_t i = 0;
  for (; i + 2 * lanes <= k; i += 2 * lanes) {
    const auto v = hn::LoadU(d, x + i), v1 = hn::LoadU(d, x + i + lanes);
    low = hn::Min(low, v), high = hn::Max(high, v), poison = hn::MulAdd(v, hn::Zero(d), poison);
    low1 = hn::Min(low1, v1), high1 = hn::Max(high1, v1), poison1 = hn::MulAdd(v1, hn::Zero(d), poison1);
  }
  for (; i < k; i += lanes) {
    const auto v = i + lanes <= k ? hn::LoadU(d, x + i) : load_first(d, x + i, k - i);
    low = hn::Min(low, v), high = hn::Max(high, v), poison = hn::MulAdd(v, hn::Zero(d), poison);
  }
  const float least = hn::GetLane(hn::MinOfLanes(d, hn::Min(low, low1)));
  const float greatest = hn::GetLane(hn::MaxOfLanes(d, hn::Max(high, high1)));
  const float unfit = hn::GetLane(hn::SumOfLanes(d, hn::Add(poison, poison1)));  // NaN with a NaN or an infinity
  // Halves, so that the range of the largest floats is not infinite.
  const float half_range = 0.5f * greatest - 0.5f * least;
  const bool fit = unfit == 0.0f && half_range > 1e-30f;
  const float inverse = fit ? 127.5f / half_range : 0.0f;
  const auto factor = hn::Set(d, inverse);
  const auto zero = hn::NearestInt(hn::Mul(hn::Set(d, fit ? -least : 0.0f), factor));
  header.scale = unfit != 0.0f ? unfit : fit ? half_range * (1.0f / 127.5f) : 0.0f;
  header.zero = hn::GetLane(zero);
  if (pairs != nullptr) {
    // The same numbers, less the zero point.
    header.zero = 0;
    const hn::Rebind<int16_t, decltype(d)> d16;
    const auto lowest = hn::Neg(zero), highest = hn::Sub(hn::Set(hn::RebindToSigned<decltype(d)>(), 255), zero);
    const auto store = [&](size_t at, hn::Vec<decltype(d)> v) HWY_ATTR {
      const auto number = hn::NearestInt(hn::Mul(v, factor));
      hn::StoreU(hn::DemoteTo(d16, hn::Min(hn::Max(number, lowest), highest)), d16, pairs + at);
    };
    for (i = 0; i + lanes <= k; i += lanes) store(i, hn::LoadU(d, x + i));
    if (i < k) store(i, load_first(d, x + i, k - i));
    return;
  }
  for (i = 0; i + lanes <= k; i += lanes) {
    hn::StoreU(hn::DemoteTo(d8, hn::Add(hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), factor)), zero)), d8, out + i);
  }
  // The bytes behind the row up to a group of four meet weights of zero.
  if (i < k) {
    const auto v = load_first(d, x + i, k - i);
    hn::StoreU(hn::DemoteTo(d8, hn::Add(hn::NearestInt(hn::Mul(v, factor)), zero)), d8, out + i);
  }
}

void quantize_rows_target(const float* x, size_t x_stride, size_t rows, size_t k, bool pairs,
                          const QuantizedRows& out) {
  for (size_t row = 0; row < rows; ++row) {
    quantize_row(x + row * x_stride, k, *out.header(row), out.bytes(row), pairs ? out.pairs(row) : nullptr);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wde::kernels {
HWY_EXPORT(quantize_rows_target);

void quantize_rows(const float* x, size_t x_stride, size_t rows, size_t k, const QuantizedRows& out) noexcept {
  HWY_DYNAMIC_DISPATCH(quantize_rows_target)(x, x_stride, rows, k, int8_in_pairs(), out);
}
}  // namespace wde::kernels
#endif
