// Arena, and the buffers and views that it hands out.
#include "base/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>

namespace wde {
namespace {

bool aligned(const float* p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

TEST(Arena, HandsOutPartsThatDoNotOverlap) {
  Arena arena;
  arena.reserve(1000);
  float* a = arena.floats(3);
  float* b = arena.floats(17);
  float* c = arena.floats(1);
  EXPECT_EQ(b - a, 16);
  EXPECT_EQ(c - b, 32);
  for (float* p : {a, b, c}) EXPECT_TRUE(aligned(p, 64));
}

TEST(Arena, ResetGivesTheSameMemoryAgain) {
  Arena arena;
  arena.reserve(1000);
  float* a = arena.floats(100);
  arena.reset();
  EXPECT_EQ(arena.floats(5), a);
}

TEST(Arena, MatricesHavePaddedRows) {
  Arena arena;
  arena.reserve(10'000);
  const View<float> m = arena.matrix(7, 48);
  EXPECT_EQ(m.rows, 7u);
  EXPECT_EQ(m.cols, 48u);
  EXPECT_EQ(m.stride, padded_stride(48));
  EXPECT_TRUE(aligned(m.row(3), 64));
  EXPECT_GE(arena.floats(1), m.row(6) + 48);
}

// More than was reserved is given all the same; the second such pass finds it in one piece.
TEST(Arena, LearnsFromAPassThatNeededMore) {
  Arena arena;
  arena.reserve(64);
  float* a = arena.floats(64);
  float* b = arena.floats(5000);
  float* c = arena.floats(5000);
  std::fill_n(a, 64, 1.0f);
  std::fill_n(b, 5000, 2.0f);
  std::fill_n(c, 5000, 3.0f);
  EXPECT_EQ(std::accumulate(a, a + 64, 0.0), 64);
  EXPECT_EQ(std::accumulate(b, b + 5000, 0.0), 10'000);
  arena.reset();
  a = arena.floats(64);
  b = arena.floats(5000);
  c = arena.floats(5000);
  EXPECT_EQ(b, a + 64);
  EXPECT_EQ(c, b + 5008);  // 5,000 rounded up to whole cache lines
}

TEST(Arena, WorksWithoutReserving) {
  Arena arena;
  float* a = arena.floats(10);
  a[9] = 1;
  arena.reset();
  EXPECT_NE(arena.floats(10), nullptr);
}

TEST(PaddedStride, IsAnOddNumberOfWholeCacheLines) {
  for (size_t cols = 0; cols < 5000; ++cols) {
    const size_t stride = padded_stride(cols);
    ASSERT_GE(stride, cols);
    ASSERT_LE(stride, cols + 47);
    ASSERT_EQ(stride % 16, 0u);
    ASSERT_EQ(stride / 16 % 2, 1u);
  }
}

TEST(AlignedBuffer, IsAlignedAndZero) {
  for (size_t bytes : {size_t{1}, size_t{64}, size_t{4096}, size_t{100'000}, size_t{2} << 20, (size_t{5} << 20) + 12}) {
    const AlignedBuffer buffer(bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_TRUE(aligned(buffer.floats(), bytes >= (size_t{2} << 20) ? size_t{2} << 20 : 64)) << bytes;
    const auto* begin = static_cast<const unsigned char*>(buffer.data());
    EXPECT_TRUE(std::all_of(begin, begin + bytes, [](unsigned char c) { return c == 0; })) << bytes;
  }
}

TEST(AlignedBuffer, MovesAndRefusesTheImpossible) {
  AlignedBuffer a(100), empty(0);
  EXPECT_EQ(empty.data(), nullptr);
  float* data = a.floats();
  data[3] = 7;
  AlignedBuffer b(std::move(a));
  EXPECT_EQ(b.floats(), data);
  AlignedBuffer c;
  c = std::move(b);
  EXPECT_EQ(c.floats()[3], 7);
  EXPECT_THROW(AlignedBuffer(SIZE_MAX - 5), std::bad_alloc);
  EXPECT_THROW(AlignedBuffer(SIZE_MAX / 2), std::bad_alloc);
}

TEST(View, SlicesRowsAndColumns) {
  Matrix m(4, 10);
  for (size_t r = 0; r < 4; ++r) {
    for (size_t c = 0; c < 10; ++c) m.view().row(r)[c] = static_cast<float>(10 * r + c);
  }
  const View<float> part = m.view().slice_rows(1, 2).slice_cols(3, 4);
  EXPECT_EQ(part.rows, 2u);
  EXPECT_EQ(part.cols, 4u);
  EXPECT_EQ(part.row(1)[2], 25.0f);
}

}  // namespace
}  // namespace wde
