// View: borrowed rows of a matrix. Matrix: owned ones, 64-byte aligned.
// Rows may be further apart than they are long (stride >= cols), see padded_stride().
#pragma once

#include <cstddef>
#include <utility>

namespace wde {

template <class T>
struct View {
  T* data = nullptr;
  size_t rows = 0;
  size_t cols = 0;
  size_t stride = 0;  // in elements

  T* row(size_t r) const { return data + r * stride; }
  View slice_rows(size_t begin, size_t count) const { return {row(begin), count, cols, stride}; }
  View slice_cols(size_t begin, size_t count) const { return {data + begin, rows, count, stride}; }
  operator View<const T>() const { return {data, rows, cols, stride}; }  // NOLINT(google-explicit-constructor)
};

// Distance between rows, in floats, for a matrix of `cols` columns: whole 64-byte cache lines, and an odd number of
// them, so that the rows of a GEMM tile fall into different sets of an L1 cache (a stride of 4096 bytes puts all of
// them into one).
constexpr size_t padded_stride(size_t cols) {
  size_t lines = (cols + 15) / 16;
  return (lines | 1) * 16;
}

// Zero-filled, aligned to 64 bytes (to 2 MiB and advised as huge pages from 2 MiB on). Throws std::bad_alloc.
class AlignedBuffer {
 public:
  // kSmall: for what is used here and there, where a huge page would be memory for little.
  enum class Pages { kHuge, kSmall };
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes, Pages pages = Pages::kHuge);
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedBuffer();

  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
  }

  void* data_ = nullptr;
  size_t bytes_ = 0;
  size_t mapped_ = 0;
};

class Matrix {
 public:
  Matrix() = default;
  Matrix(size_t rows, size_t cols) : Matrix(rows, cols, padded_stride(cols)) {}
  Matrix(size_t rows, size_t cols, size_t stride)
      : buffer_(rows * stride * sizeof(float)), view_{buffer_.floats(), rows, cols, stride} {}

  View<float> view() { return view_; }
  View<const float> view() const { return view_; }
  size_t bytes() const { return buffer_.bytes(); }

 private:
  AlignedBuffer buffer_;
  View<float> view_;
};

}  // namespace wde
