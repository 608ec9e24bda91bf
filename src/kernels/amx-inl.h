// The product of rows of A with at most two panels of B by AMX, for the files of the formats: included inside a
// namespace of their own, after <cstring> and <algorithm>. A row of A is a sequence of units of 4 bytes (4 bytes, or
// two of bfloat16), a panel of B has 64 bytes for each unit: its 16 columns. So a tile of A is 16 rows of 16 units, a
// tile of B 16 units of a panel, and both lie in memory as the instructions want them. In assembly, not intrinsics:
// GCC's do not say that they read memory.

enum class Product { kBytes, kBf16 };  // u8 x s8 to int32, or bfloat16 to float32

constexpr size_t kTileUnits = 16, kTileRows = 16, kLineBytes = 64, kPanels = 2;
constexpr size_t kMostRows = 2 * kTileRows;

struct AmxOperands {
  const uint8_t* a;  // rows, lda bytes apart
  size_t lda;
  const uint8_t* b;  // panels, 64 * units bytes
  size_t units, panels;
  const uint8_t* ahead;           // panels to pull into the L2 cache meanwhile
  size_t ahead_begin, ahead_end;  // ... these units of them
};

// Sums of 32 bits; of the second panel from column 16 on.
struct alignas(kLineBytes) AmxSums {
  uint32_t row[kMostRows][kPanels * kPanelCols];
};

// What LDTILECFG reads: tiles 0 to 3 are the sums (two of rows x two of columns), 4 and 5 A's, 6 and 7 B's.
struct alignas(kLineBytes) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes_a_row[16] = {kLineBytes, kLineBytes, kLineBytes, kLineBytes,
                              kLineBytes, kLineBytes, kLineBytes, kLineBytes};
  uint8_t rows[16] = {};
};

// Tiles of `upper` rows and, below, of `lower`; zeros are no rows at all.
inline void configure(size_t upper, size_t lower) {
  TileConfig config;
  const auto below = static_cast<uint8_t>(std::max<size_t>(lower, 1));
  for (size_t tile : {0, 1, 4}) config.rows[tile] = static_cast<uint8_t>(upper);
  for (size_t tile : {2, 3, 5}) config.rows[tile] = below;
  for (size_t tile : {6, 7}) config.rows[tile] = kTileRows;
  asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
}
inline void release() { asm volatile("tilerelease"); }

template <int kTile>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
template <int kTile>
inline void tile_load(const uint8_t* rows, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
inline void tile_store(uint32_t* rows) {
  constexpr size_t kStride = kPanels * kLineBytes;
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(rows), "r"(kStride), "i"(kTile) : "memory");
}
template <Product kProduct, int kSum, int kA, int kB>
inline void tile_multiply() {
  if constexpr (kProduct == Product::kBytes) {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
  } else {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
  }
}

// 16 units of all rows and panels. Rows of the lower tile begin `below` bytes behind those of the upper.
template <Product kProduct, bool kLower, bool kSecond>
inline void multiply_units(const uint8_t* a, size_t lda, size_t below, const uint8_t* b, size_t panel) {
  tile_load<4>(a, lda);
  tile_load<6>(b, kLineBytes);
  tile_multiply<kProduct, 0, 4, 6>();
  if constexpr (kSecond) {
    tile_load<7>(b + panel, kLineBytes);
    tile_multiply<kProduct, 1, 4, 7>();
  }
  if constexpr (kLower) {
    tile_load<5>(a + below, lda);
    tile_multiply<kProduct, 2, 5, 6>();
  }
  if constexpr (kLower && kSecond) tile_multiply<kProduct, 3, 5, 7>();
}

// The last units, fewer than a tile's, with zeros behind them.
template <Product kProduct, bool kLower, bool kSecond>
inline void multiply_rest(const AmxOperands& o, size_t rows, size_t upper) {
  const size_t done = o.units / kTileUnits * kTileUnits, left = o.units - done, panel = kLineBytes * o.units;
  alignas(kLineBytes) uint8_t a[kMostRows * kLineBytes] = {}, b[kPanels * kTileUnits * kLineBytes] = {};
  for (size_t r = 0; r < rows; ++r) std::memcpy(a + r * kLineBytes, o.a + r * o.lda + 4 * done, 4 * left);
  for (size_t p = 0; p < o.panels; ++p)
    std::memcpy(b + p * kTileUnits * kLineBytes, o.b + p * panel + kLineBytes * done, kLineBytes * left);
  multiply_units<kProduct, kLower, kSecond>(a, kLineBytes, upper * kLineBytes, b, kTileUnits * kLineBytes);
}

template <Product kProduct, bool kLower, bool kSecond>
inline void multiply_rows(const AmxOperands& o, size_t rows, size_t upper, AmxSums& sums) {
  const size_t panel = kLineBytes * o.units, blocks = o.units / kTileUnits;
  tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
  for (size_t block = 0; block < blocks; ++block) {
    const size_t share = o.ahead_end - o.ahead_begin, end = o.ahead_begin + share * (block + 1) / blocks;
    for (size_t unit = o.ahead_begin + share * block / blocks; unit < end; ++unit) {
      __builtin_prefetch(o.ahead + unit * kLineBytes, 0, 2);
      if constexpr (kSecond) __builtin_prefetch(o.ahead + panel + unit * kLineBytes, 0, 2);
    }
    multiply_units<kProduct, kLower, kSecond>(o.a + block * kLineBytes, o.lda, upper * o.lda,
                                              o.b + block * kTileUnits * kLineBytes, panel);
  }
  if (o.units % kTileUnits != 0) multiply_rest<kProduct, kLower, kSecond>(o, rows, upper);
  tile_store<0>(sums.row[0]);
  if constexpr (kSecond) tile_store<1>(sums.row[0] + kPanelCols);
  if constexpr (kLower) tile_store<2>(sums.row[upper]);
  if constexpr (kLower && kSecond) tile_store<3>(sums.row[upper] + kPanelCols);
}

// Calls store(first row, rows, sums) for pieces of at most 32 of the m rows, as even as can be. A row's sums do not
// depend on the rows beside it.
template <Product kProduct, class Store>
inline void multiply_pieces(AmxOperands o, size_t m, const Store& store) {
  const size_t pieces = (m + kMostRows - 1) / kMostRows, units = o.units;
  const uint8_t* const a = o.a;
  size_t upper = 0, lower = 0;
  AmxSums sums;
  for (size_t i = 0; i < pieces; ++i) {
    const size_t first = m * i / pieces, rows = m * (i + 1) / pieces - first;
    const size_t above = rows > kTileRows ? (rows + 1) / 2 : rows;
    if (above != upper || rows - above != lower) configure(upper = above, lower = rows - above);
    o.a = a + first * o.lda;
    o.ahead_begin = units * i / pieces, o.ahead_end = units * (i + 1) / pieces;
    if (lower > 0 && o.panels > 1) {
      multiply_rows<kProduct, true, true>(o, rows, upper, sums);
    } else if (lower > 0) {
      multiply_rows<kProduct, true, false>(o, rows, upper, sums);
    } else if (o.panels > 1) {
      multiply_rows<kProduct, false, true>(o, rows, upper, sums);
    } else {
      multiply_rows<kProduct, false, false>(o, rows, upper, sums);
    }
    store(first, rows, sums);
  }
  release();
}
