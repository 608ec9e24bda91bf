// safetensors files, fully validated before any tensor is handed out: header size (<= 100 MB and inside the file),
// JSON, known dtypes, checked products of shapes, offsets contiguous from 0 and equal to the tensor's size, no gap, no
// overlap, file size exact, no duplicate names. Format: github.com/huggingface/safetensors, README.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loader/weight_file.h"

namespace wde {

enum class Dtype { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool, kOther };
size_t dtype_size(Dtype dtype);            // bytes an element; 0 for kOther
std::string_view dtype_name(Dtype dtype);  // "F32"; "other"

// Borrowed from the file that holds it, or from memory.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::string other_dtype;  // as the file spells it, for kOther alone: it may lie in a file but is never converted
  std::vector<size_t> shape;
  const std::byte* data = nullptr;   // in memory; may be unaligned; or nullptr:
  const WeightFile* file = nullptr;  // in this file,
  size_t offset = 0;                 // from this byte on
  size_t bytes = 0;
  size_t elements() const { return dtype_size(dtype) == 0 ? 0 : bytes / dtype_size(dtype); }
};

// Bytes [begin, begin + bytes) of a tensor. Precondition: they are inside it. Throws LoadError: as WeightFile::read.
void read_bytes(const TensorView& tensor, size_t begin, size_t bytes, std::byte* out);

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& file);  // throws LoadError
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const WeightFile& file() const { return file_; }
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }

 private:
  const WeightFile file_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

// Parses and checks a header alone; used by the class above and the fuzzer. `data_bytes`: size of the file behind the
// header. Tensors' offsets count from its beginning, and they have no file.
std::map<std::string, TensorView, std::less<>> parse_safetensors_header(std::string_view header, size_t data_bytes,
                                                                        const std::string& file);

}  // namespace wde
