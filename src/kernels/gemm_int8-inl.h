// The int8 tile, included by the file of each instruction set inside a namespace of its own, with the set switched on
// and these defined besides those of int8_store-inl.h: kTileVectors, kTileRows, kTogether (rows of B side by side: 4
// bytes, or 2 in pairs), kByteZero (what dot takes off a byte before it multiplies), load, load_weights, broadcast,
// broadcast_int and dot. No #pragma once: it is included again and again.

#include "kernels/int8_store-inl.h"

// Pulls the next columns' factors into the cache, which no loop of loads announces to the prefetcher.
template <size_t kVectors>
__attribute__((always_inline)) inline void prefetch_next_factors(const Int8Strip& s) {
#pragma GCC unroll 4
  for (size_t col = kVectors * kLanes; col < 2 * kVectors * kLanes; col += kPanelCols) {
    __builtin_prefetch(s.b.sums + col);
    __builtin_prefetch(s.b.scales + col);
    if (s.bias != nullptr) __builtin_prefetch(s.bias + col);
  }
}

// Whole unrolling as in gemm-inl.h: GCC 12 keeps an array that any rolled loop touches in memory. Left to itself it
// does not inline the tile either, and each costs a call.
template <size_t kRows, size_t kVectors>
__attribute__((always_inline)) inline void tile(const Int8Strip& s, size_t row) {
  IntVector acc[kRows * kVectors];
  // What the rows' zero points contribute is taken off before it is added.
  QuantizedRows rows = s.a.from_row(row);
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    const IntVector zero_point = broadcast_int(kByteZero - rows.header(0)->zero);
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) acc[r * kVectors + v] = multiply(zero_point, load(s.b.sums + v * kLanes));
    rows = rows.from_row(1);
    one_pointer(rows.data);
  }
  prefetch_next_factors<kVectors>(s);

  const size_t lda = s.a.stride, panel = 4 * kPanelCols * s.groups, groups = s.groups * (4 / kTogether);
  const uint8_t* a = s.a.bytes(row);
  const int8_t* b = s.b.weights;
  // A tile's share of what is ahead in each panel is that of its rows: all of it with the first tile, the cache could
  // take nothing else.
  constexpr size_t step = kTogether * kPanelCols;
  const int8_t* ahead = s.ahead + step * groups * row / s.m;
  const size_t ahead_step = (step * kRows + s.m - 1) / s.m;
  // Of what the sums will be stored and added to, a row at a time: it comes from the L2 cache or beyond, and all rows
  // at once would keep A and B waiting.
  const size_t out_step = s.rounded != nullptr ? s.ldc / 2 : s.ldc;
  const float* out = (s.rounded != nullptr ? reinterpret_cast<const float*>(s.rounded) : s.c) + row * out_step;
  const float* residual = s.residual == nullptr ? out : s.residual + row * s.residual_stride;
  const size_t residual_step = s.residual == nullptr ? out_step : s.residual_stride;
  size_t g = 0;
  for (size_t part = 0; part < kRows; ++part, out += out_step, residual += residual_step) {
#pragma GCC unroll 4
    for (size_t col = 0; col < kVectors * kLanes; col += kPanelCols) {
      __builtin_prefetch(out + col, 1, 3);
      __builtin_prefetch(residual + col);
    }
    const size_t end = groups * (part + 1) / kRows;
    for (; g < end; ++g, b += step, ahead += ahead_step) {
      IntVector bv[kVectors];
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        if (v * kLanes % kPanelCols == 0) __builtin_prefetch(ahead + v * kLanes / kPanelCols * panel, 0, 2);
        bv[v] = load_weights(b + v * kLanes / kPanelCols * panel + v * kLanes % kPanelCols * kTogether);
      }
#pragma GCC unroll 16
      for (size_t r = 0; r < kRows; ++r) {
        const IntVector av = broadcast(a + r * lda + 4 * g);
#pragma GCC unroll 4
        for (size_t v = 0; v < kVectors; ++v) acc[r * kVectors + v] = dot(acc[r * kVectors + v], av, bv[v]);
      }
    }
  }

  store_sums<kRows, kVectors>(s, row, acc);
}

// `tiles` tiles one below the other, from `row` on.
template <size_t kRows, size_t kVectors>
void column_of_tiles(const Int8Strip& s, size_t row, size_t tiles) {
  for (size_t t = 0; t < tiles; ++t) tile<kRows, kVectors>(s, row + t * kRows);
}

using ColumnOfTiles = void (*)(const Int8Strip&, size_t, size_t);
template <size_t kVectors, size_t... kRowsLessOne>
constexpr std::array<ColumnOfTiles, sizeof...(kRowsLessOne)> tile_table(std::index_sequence<kRowsLessOne...>) {
  return {&column_of_tiles<kRowsLessOne + 1, kVectors>...};
}
constexpr auto kWideTiles = tile_table<kTileVectors>(std::make_index_sequence<kTileRows>());
constexpr auto kNarrowTiles = tile_table<kPanelCols / kLanes>(std::make_index_sequence<kTileRows>());

// The tiles share the rows as evenly as can be: `taller` of them have one more.
void strip(const Int8Strip& s) {
  const size_t tiles = (s.m + kTileRows - 1) / kTileRows, rows = s.m / tiles, taller = s.m % tiles;
  const auto& table = s.cols > kPanelCols ? kWideTiles : kNarrowTiles;
  if (taller > 0) table[rows](s, 0, taller);
  table[rows - 1](s, taller * (rows + 1), tiles - taller);
}

constexpr size_t kTileCols = kTileVectors * kLanes;
