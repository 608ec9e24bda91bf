// What one process tells another, in bytes: an order's fields, a job's input, the rows between its layers or those of
// the answer, its error.
#pragma once

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "stage/job.h"

namespace wde::mpi {

using Bytes = std::vector<char>;

class Writer {
 public:
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    append(&value, sizeof(value));
  }
  void put(const std::vector<int32_t>& values) {
    put(values.size());
    append(values.data(), values.size() * sizeof(int32_t));
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
  const Bytes& bytes() const { return bytes_; }

 private:
  void append(const void* data, size_t size) {
    if (size == 0) return;
    const size_t at = bytes_.size();
    bytes_.resize(at + size);
    std::memcpy(bytes_.data() + at, data, size);
  }
  Bytes bytes_;
};

// Both ends are the same program; that a message holds what is read from it is checked all the same. The bytes must
// outlive it.
class Reader {
 public:
  explicit Reader(const Bytes& bytes) : at_(bytes.data()), left_(bytes.size()) {}
  template <typename T>
  T get() {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    T value;
    take(&value, sizeof(value));
    return value;
  }
  void get(std::vector<int32_t>& values) {
    values.resize(count(sizeof(int32_t)));
    take(values.data(), values.size() * sizeof(int32_t));
  }
  void get(std::string& text) {
    text.resize(count(1));
    take(text.data(), text.size());
  }
  // `resize` gives the place for that many rows and columns.
  template <typename Resize>
  void get_rows(const Resize& resize) {
    const auto rows = get<size_t>(), cols = get<size_t>();
    if (rows == 0 || cols == 0) return;
    if (cols > left_ / sizeof(float) / rows) fail();
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

// Without towers: models that have them are not divided among processes.
inline void put_input(Writer& out, const ModelInput& in) {
  out.put(in.rows);
  out.put(in.max_seqlen);
  for (const auto* v : {&in.ids, &in.type_ids, &in.positions, &in.cu_seqlens, &in.prefix_rows, &in.prefix_lens,
                        &in.unseen_lens, &in.row_indices, &in.row_positions, &in.cu_rows}) {
    out.put(*v);
  }
}
inline void get_input(Reader& from, ModelInput& in) {
  in.rows = from.get<RowsNeeded>();
  in.max_seqlen = from.get<size_t>();
  for (auto* v : {&in.ids, &in.type_ids, &in.positions, &in.cu_seqlens, &in.prefix_rows, &in.prefix_lens,
                  &in.unseen_lens, &in.row_indices, &in.row_positions, &in.cu_rows}) {
    from.get(*v);
  }
}

// A job on its way through the layers, with the rows that the next ones go on with.
inline void put_unfinished(Writer& out, Job& job) {
  const bool well = job.error.empty(), all = job.input.rows == RowsNeeded::kAll;
  out.put(job.error);
  put_input(out, job.input);
  out.put(View<const float>(!well ? View<float>{} : all ? job.output.hidden() : job.output.state()));
}
inline void get_unfinished(Reader& from, Job& job) {
  from.get(job.error);
  get_input(from, job.input);
  from.get_rows([&](size_t rows, size_t cols) {
    return job.input.rows == RowsNeeded::kAll ? job.output.resize(rows, cols) : job.output.resize_state(rows, cols);
  });
}

// A job behind the last layer: what a head made of the hidden states, or these.
inline void put_answer(Writer& out, Job& job) {
  const bool by_head = job.output.result().rows > 0;
  out.put(job.error);
  out.put(by_head);
  out.put(View<const float>(!job.error.empty() ? View<float>{} : by_head ? job.output.result() : job.output.hidden()));
}
inline void get_answer(Reader& from, Job& job) {
  from.get(job.error);
  const auto by_head = from.get<bool>();
  from.get_rows([&](size_t rows, size_t cols) {
    return by_head ? job.output.resize_result(rows, cols) : job.output.resize(rows, cols);
  });
}

}  // namespace wde::mpi
