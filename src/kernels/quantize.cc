#include "kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize.cc"  // NOLINT
#include <hwy/foreach_target.h>                   // NOLINT(build/include_order)

#include <hwy/highway.h>

#include <limits>

#include "kernels/gemm_int8.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 1.5 * 2^23: the last bit of a sum with it is worth one, so that adding it rounds to a whole number, ties to even,
// which is in the lowest bits then.
constexpr float kUnits = 12582912.0f;
HWY_INLINE float nearest(float x) { return (x + kUnits) - kUnits; }

// The least and the greatest of the row and 0 make the scale; every operation is rounded the same on all instruction
// sets, so the bytes are the same too.
void quantize_row(const float* HWY_RESTRICT x, size_t x_stride, size_t k, QuantizedRow& header,
                  uint8_t* HWY_RESTRICT out, int16_t* HWY_RESTRICT pairs) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::RebindToUnsigned<decltype(d)> du;
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
  const auto poisoned = hn::Add(poison, poison1);  // NaN with a NaN or an infinity
  const bool finite = hn::AllFalse(d, hn::IsNaN(poisoned));
  // Halves, so that the range of the largest floats is not infinite.
  const float half_range = 0.5f * greatest - 0.5f * least;
  const bool fit = finite && half_range > 1e-30f;
  const float inverse = fit ? 127.5f / half_range : 0.0f;
  const float zero = fit ? nearest(-least * inverse) : 0.0f;
  header.scale = !finite ? std::numeric_limits<float>::quiet_NaN() : fit ? half_range * (1.0f / 127.5f) : 0.0f;
  const auto factor = hn::Set(d, inverse), first = hn::Set(d, kUnits + zero), last = hn::Set(d, kUnits + 255.0f);
  // The number, 0 to 255, in the lowest bits. What rounding carries beyond 255 is taken off; below 0 nothing can fall:
  // least * inverse is exactly what zero was rounded from.
  const auto number = [&](hn::Vec<decltype(d)> v)
                          HWY_ATTR { return hn::BitCast(du, hn::Min(hn::Add(hn::Mul(v, factor), first), last)); };
  header.zero = pairs != nullptr ? 0 : static_cast<int32_t>(zero);
  if (pairs != nullptr) {
    // The same numbers, less the zero point.
    const hn::Rebind<int16_t, decltype(d)> d16;
    const auto zero_bits = hn::BitCast(di, first);
    const auto store = [&](size_t at, hn::Vec<decltype(d)> v) HWY_ATTR {
      hn::StoreU(hn::DemoteTo(d16, hn::Sub(hn::BitCast(di, number(v)), zero_bits)), d16, pairs + at);
    };
    for (i = 0; i + lanes <= k; i += lanes) store(i, hn::LoadU(d, x + i));
    if (i < k) store(i, load_first(d, x + i, k - i));
    return;
  }
  for (i = 0; i + lanes <= k; i += lanes) {
    __builtin_prefetch(x + x_stride + i, 0, 3);  // the next row's
    hn::StoreU(hn::TruncateTo(d8, number(hn::LoadU(d, x + i))), d8, out + i);
  }
  // The bytes behind the row up to a group of four meet weights of zero.
  if (i < k) hn::StoreU(hn::TruncateTo(d8, number(load_first(d, x + i, k - i))), d8, out + i);
}

void quantize_rows_target(const float* x, size_t x_stride, size_t rows, size_t k, bool pairs,
                          const QuantizedRows& out) {
  for (size_t row = 0; row < rows; ++row) {
    quantize_row(x + row * x_stride, x_stride, k, *out.header(row), out.bytes(row), pairs ? out.pairs(row) : nullptr);
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
