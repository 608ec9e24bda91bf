// The tile of bfloat16 in pairs, for one instruction set; included once per target by Highway's foreach_target.
// A row of A and a panel of B hold pairs of neighbours along k, 32 bits each. To the loops of the GEMM a pair is a
// float of which only the bits are moved.
#if defined(WDE_KERNELS_BF16_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WDE_KERNELS_BF16_PAIRS_INL_H_
#undef WDE_KERNELS_BF16_PAIRS_INL_H_
#else
#define WDE_KERNELS_BF16_PAIRS_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/gemm-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace wde::kernels {
namespace HWY_NAMESPACE {

// As TileB, of pairs.
struct TilePairs {
  const float* data;
  size_t row_stride, panel_stride;
  const float* ahead;
};

// sum + a.second * b.second, then + a.first * b.first, each rounded once: as the instruction does it (Intel's manual,
// VDPBF16PS), but for denormals, which it takes for zeros.
HWY_INLINE TileVector add_products(TileVector sum, TileVector a, TileVector b) {
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  // Not the intrinsic: the file is compiled for AVX-512 without it, and runs there only where the CPU has it.
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
#else
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  const auto a_bits = hn::BitCast(du, a), b_bits = hn::BitCast(du, b), second = hn::Set(du, 0xffff0000u);
  sum = hn::MulAdd(hn::BitCast(d, hn::And(a_bits, second)), hn::BitCast(d, hn::And(b_bits, second)), sum);
  return hn::MulAdd(hn::BitCast(d, hn::ShiftLeft<16>(a_bits)), hn::BitCast(d, hn::ShiftLeft<16>(b_bits)), sum);
#endif
}

template <size_t kRows, size_t kVectors>
HWY_INLINE void accumulate(const float* HWY_RESTRICT a, size_t lda, const TilePairs& b, size_t pairs,
                           TileVector (&acc)[kRows * kVectors]) {
  const TileTag d;
  const float* HWY_RESTRICT b_row = b.data;
  const ptrdiff_t ahead = b.ahead - b.data;
  for (size_t kk = 0; kk < pairs; ++kk, b_row += b.row_stride) {
    TileVector bv[kVectors];
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const float* const p = b_row + v * kLanes / kPanelCols * b.panel_stride;
      if (v * kLanes % kPanelCols == 0) __builtin_prefetch(p + ahead, 0, 3);
      bv[v] = hn::LoadU(d, p + v * kLanes % kPanelCols);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const TileVector av = hn::Set(d, a[r * lda + kk]);
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) acc[r * kVectors + v] = add_products(acc[r * kVectors + v], av, bv[v]);
    }
  }
}

using HalfTag = hn::Rebind<uint16_t, TileTag>;

// As to_bf16(), but for denormals, which AVX512-BF16 takes for zeros here too.
HWY_INLINE hn::Vec<HalfTag> to_bf16(TileVector x) {
#if HWY_ARCH_X86 && HWY_MAX_BYTES == 64
  hn::Vec<HalfTag> halves;
  asm("vcvtneps2bf16 %1, %0" : "=v"(halves.raw) : "v"(x.raw));
  return halves;
#else
  const hn::RebindToUnsigned<TileTag> du;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto nearest = hn::Add(bits, hn::Add(hn::Set(du, 0x7fff), odd));
  // Of a NaN whose payload lies in the lower half, one that is left.
  const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
  const auto rounded = hn::IfThenElse(hn::RebindMask(du, hn::Eq(x, x)), nearest, quiet);
  return hn::DemoteTo(HalfTag(), hn::BitCast(hn::RebindToSigned<TileTag>(), hn::ShiftRight<16>(rounded)));
#endif
}

// Rows of k floats -> of halves. Behind a row there is room for a vector; the half behind an odd row becomes zero.
HWY_INLINE void round_rows_to(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* out, size_t stride) {
  const TileTag d;
  const HalfTag dh;
  for (size_t row = 0; row < rows; ++row, x += x_stride, out += stride) {
    size_t i = 0;
    for (; i + kLanes <= k; i += kLanes) hn::StoreU(to_bf16(hn::LoadU(d, x + i)), dh, out + i);
    if (i < k || k % 2 != 0) hn::StoreU(to_bf16(load_first(d, x + i, k - i)), dh, out + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace wde::kernels
HWY_AFTER_NAMESPACE();

#endif  // WDE_KERNELS_BF16_PAIRS_INL_H_
