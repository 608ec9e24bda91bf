// The int8 tile, included by the file of each instruction set inside a namespace of its own, with the set switched on
// and these defined: IntVector, FloatVector, kLanes (columns a vector), kTileVectors, kTileRows, kTogether (rows of B
// side by side: 4 bytes, or 2 in pairs), kByteZero (what dot takes off a byte before it multiplies), and load,
// load_weights, broadcast, broadcast_int, dot, multiply, multiply_add, to_float, add, set, zero, load_floats,
// load_some, store_floats, store_some. No #pragma once: it is included again and again.

// Whole unrolling as in gemm-inl.h: GCC 12 keeps an array that any rolled loop touches in memory. Left to itself it
// does not inline the tile either, and each costs a call.
template <size_t kRows, size_t kVectors>
__attribute__((always_inline)) inline void tile(const Int8Strip& s, size_t row) {
  IntVector acc[kRows * kVectors];
  // What the rows' zero points contribute is taken off before it is added.
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    const IntVector zero_point = broadcast_int(kByteZero - s.a.header(row + r)->zero);
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) acc[r * kVectors + v] = multiply(zero_point, load(s.b.sums + v * kLanes));
  }

  // What the sums will be stored to, while they are computed: the rows of C come from the L2 cache or beyond.
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; v += kPanelCols / kLanes) {
      __builtin_prefetch(s.c + (row + r) * s.ldc + v * kLanes, 1, 3);
    }
  }

  const size_t lda = s.a.stride, panel = 4 * kPanelCols * s.groups;
  const uint8_t* a = s.a.bytes(row);
  const int8_t* b = s.b.weights;
  const ptrdiff_t ahead = s.ahead - b;
  const size_t groups = s.groups * (4 / kTogether);
  for (size_t g = 0; g < groups; ++g, b += kTogether * kPanelCols) {
    IntVector bv[kVectors];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      if (v * kLanes % kPanelCols == 0) __builtin_prefetch(b + ahead + v * kLanes / kPanelCols * panel, 0, 2);
      bv[v] = load_weights(b + v * kLanes / kPanelCols * panel + v * kLanes % kPanelCols * kTogether);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const IntVector av = broadcast(a + r * lda + 4 * g);
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) acc[r * kVectors + v] = dot(acc[r * kVectors + v], av, bv[v]);
    }
  }

  // Copies: a store may change what `s` points to, for all that the compiler knows.
  const size_t cols = s.cols, ldc = s.ldc, residual_stride = s.residual_stride;
  float* const c = s.c + row * ldc;
  const float* const residuals = s.residual == nullptr ? nullptr : s.residual + row * residual_stride;
  float scales[kRows];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) scales[r] = s.a.header(row + r)->scale;
  const bool whole = cols == kVectors * kLanes;
#pragma GCC unroll 4
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t col = v * kLanes;
    const FloatVector col_scale = load_floats(s.b.scales + col);
    const FloatVector bias = s.bias != nullptr ? load_floats(s.bias + col) : zero();
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      FloatVector x = multiply(to_float(acc[r * kVectors + v]), set(scales[r]));
      x = multiply_add(x, col_scale, bias);
      float* const out = c + r * ldc + col;
      const size_t at = r * residual_stride + col;
      if (whole) {
        if (residuals != nullptr) x = add(x, load_floats(residuals + at));
        store_floats(out, x);
      } else if (col < cols) {
        if (residuals != nullptr) x = add(x, load_some(residuals + at, cols - col));
        store_some(out, x, cols - col);
      }
    }
  }
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
