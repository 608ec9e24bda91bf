// What one process tells the next about a job: its input, the rows between its layers or those of the answer, its
// error.
#pragma once

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "stage/job.h"

namespace wde::mpi {

class Writer {
 public:
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append(&value, sizeof(value));
  }
  template <typename T>
  void put(const std::vector<T>& values) {
    put(values.size());
    append(values.data(), values.size() * sizeof(T));
  }
  void put(const std::string& text) {
    put(text.size());
    append(text.data(), text.size());
  }
  void put(View<const float> rows) {
    put(rows.rows);
    put(rows.cols);
    for (size_t r = 0; r < rows.rows; ++r) append(rows.row(r), rows.cols * sizeof(float));
  }
  std::vector<char>& bytes() { return bytes_; }

 private:
  void append(const void* data, size_t size) {
    if (size == 0) return;
    const size_t at = bytes_.size();
    bytes_.resize(at + size);
    std::memcpy(bytes_.data() + at, data, size);
  }
  std::vector<char> bytes_;
};

// Both ends are the same program; that the other end wrote what this one reads is checked all the same.
class Reader {
 public:
  explicit Reader(const std::vector<char>& bytes) : at_(bytes.data()), left_(bytes.size()) {}
  template <typename T>
  T get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    take(&value, sizeof(value));
    return value;
  }
  template <typename T>
  void get(std::vector<T>& values) {
    values.resize(count(sizeof(T)));
    take(values.data(), values.size() * sizeof(T));
  }
  void get(std::string& text) {
    text.resize(count(1));
    take(text.data(), text.size());
  }
  // `resize` gives the place for that many rows and columns.
  template <typename Resize>
  void get_rows(Resize resize) {
    const auto rows = get<size_t>(), cols = get<size_t>();
    if (rows != 0 && cols > left_ / sizeof(float) / rows) fail();
    if (rows == 0 || cols == 0) return;
    const View<float> out = resize(rows, cols);
    for (size_t r = 0; r < rows; ++r) take(out.row(r), cols * sizeof(float));
  }

 private:
  [[noreturn]] static void fail() { throw std::runtime_error("a process sent a message that is cut off"); }
  size_t count(size_t size) {
    const auto n = get<size_t>();
    if (n > left_ / size) fail();
    return n;
  }
  void take(void* to, size_t size) {
    if (size > left_) fail();
    if (size > 0) std::memcpy(to, at_, size);
    at_ += size;
    left_ -= size;
  }
  const char* at_;
  size_t left_;
};

// The rows that the layers of the next process go on with.
inline std::vector<char> to_next(Job& job) {
  Writer out;
  const ModelInput& in = job.input;
  out.put(job.error);
  out.put(in.rows);
  out.put(in.max_seqlen);
  for (const auto* v : {&in.ids, &in.type_ids, &in.positions, &in.cu_seqlens, &in.prefix_rows, &in.prefix_lens,
                        &in.unseen_lens, &in.row_indices, &in.row_positions, &in.cu_rows}) {
    out.put(*v);
  }
  out.put(job.error.empty() ? (in.rows == RowsNeeded::kAll ? job.output.hidden() : job.output.state()) : View<float>{});
  return std::move(out.bytes());
}

inline void from_previous(const std::vector<char>& bytes, Job& job) {
  Reader from(bytes);
  ModelInput& in = job.input;
  from.get(job.error);
  in.rows = from.get<RowsNeeded>();
  in.max_seqlen = from.get<size_t>();
  for (auto* v : {&in.ids, &in.type_ids, &in.positions, &in.cu_seqlens, &in.prefix_rows, &in.prefix_lens,
                  &in.unseen_lens, &in.row_indices, &in.row_positions, &in.cu_rows}) {
    from.get(*v);
  }
  from.get_rows([&](size_t rows, size_t cols) {
    return in.rows == RowsNeeded::kAll ? job.output.resize(rows, cols) : job.output.resize_state(rows, cols);
  });
}

// The answer, from the last process to the first.
inline std::vector<char> to_first(Job& job) {
  Writer out;
  out.put(job.error);
  const bool well = job.error.empty();
  out.put(well ? job.output.hidden() : View<float>{});
  out.put(well ? job.output.result() : View<float>{});
  return std::move(out.bytes());
}

inline void from_last(const std::vector<char>& bytes, Job& job) {
  Reader from(bytes);
  from.get(job.error);
  from.get_rows([&](size_t rows, size_t cols) { return job.output.resize(rows, cols); });
  from.get_rows([&](size_t rows, size_t cols) { return job.output.resize_result(rows, cols); });
}

}  // namespace wde::mpi
