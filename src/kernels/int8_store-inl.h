// What becomes of the sums of an int8 product, for the files of the instruction sets: included inside a namespace of
// their own, with IntVector, FloatVector, kLanes (columns a vector), kRounds (whether store and store_some take a
// uint16_t* too), multiply, multiply_add, to_float, add, set, zero, load_floats, load_some, store and store_some
// defined.

// Hides where a pointer came from: GCC would keep the addresses of all rows, most of them in memory, where one that
// goes from row to row does.
template <class T>
__attribute__((always_inline)) inline void one_pointer(T*& p) {
  asm("" : "+r"(p));
}

// The sums of the tile from `row` on as numbers of C, with what it asks for.
template <size_t kRows, size_t kVectors, bool kWhole, bool kResidual, class C>
__attribute__((always_inline)) inline void store_tile(const Int8Strip& s, size_t row, C* c,
                                                      const IntVector (&acc)[kRows * kVectors]) {
  // Copies: a store may change what `s` points to, for all that the compiler knows.
  const size_t cols = s.cols, ldc = s.ldc, residual_stride = s.residual_stride;
  c += row * ldc;
  const float* residual = kResidual ? s.residual + row * residual_stride : nullptr;
  QuantizedRows a = s.a.from_row(row);
  FloatVector col_scales[kVectors], bias[kVectors];
#pragma GCC unroll 4
  for (size_t v = 0; v < kVectors; ++v) {
    col_scales[v] = load_floats(s.b.scales + v * kLanes);
    bias[v] = s.bias != nullptr ? load_floats(s.bias + v * kLanes) : zero();
  }
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    const FloatVector row_scale = set(a.header(0)->scale);
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t col = v * kLanes;
      if (!kWhole && col >= cols) break;
      FloatVector x = multiply_add(multiply(to_float(acc[r * kVectors + v]), row_scale), col_scales[v], bias[v]);
      if (kResidual) x = add(x, kWhole ? load_floats(residual + col) : load_some(residual + col, cols - col));
      if (kWhole) {
        store(c + col, x);
      } else {
        store_some(c + col, x, cols - col);
      }
    }
    a = a.from_row(1), c += ldc;
    one_pointer(a.data), one_pointer(c);
    if (kResidual) residual += residual_stride, one_pointer(residual);
  }
}

// ... in C's format.
template <size_t kRows, size_t kVectors>
__attribute__((always_inline)) inline void store_sums(const Int8Strip& s, size_t row,
                                                      const IntVector (&acc)[kRows * kVectors]) {
  const bool whole = s.cols == kVectors * kLanes;
  if constexpr (kRounds) {
    if (s.rounded != nullptr) {
      if (whole) return store_tile<kRows, kVectors, true, false>(s, row, s.rounded, acc);
      return store_tile<kRows, kVectors, false, false>(s, row, s.rounded, acc);
    }
  }
  if (whole && s.residual == nullptr) {
    store_tile<kRows, kVectors, true, false>(s, row, s.c, acc);
  } else if (whole) {
    store_tile<kRows, kVectors, true, true>(s, row, s.c, acc);
  } else if (s.residual == nullptr) {
    store_tile<kRows, kVectors, false, false>(s, row, s.c, acc);
  } else {
    store_tile<kRows, kVectors, false, true>(s, row, s.c, acc);
  }
}
