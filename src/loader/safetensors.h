// safetensors files, mapped read-only and fully validated before any tensor is handed out: header size (<= 100 MB and
// inside the file), JSON, known dtypes, checked products of shapes, offsets contiguous from 0 and equal to the tensor's
// size, no gap, no overlap, file size exact, no duplicate names. Format: github.com/huggingface/safetensors, README.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wde {

enum class Dtype { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool, kOther };
size_t dtype_size(Dtype dtype);            // bytes an element; 0 for kOther
std::string_view dtype_name(Dtype dtype);  // "F32"; "other"

// Borrowed from the file that holds it. `data` may be unaligned.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::string other_dtype;  // as the file spells it, for kOther alone: it may lie in a file but is never converted
  std::vector<size_t> shape;
  const std::byte* data = nullptr;
  size_t bytes = 0;
  size_t elements() const { return dtype_size(dtype) == 0 ? 0 : bytes / dtype_size(dtype); }
};

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& file);  // throws LoadError
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& file() const { return file_; }
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  // Tells the kernel that these pages are not needed in memory any more (they are read again if touched). Only for
  // tensors of a mapped file: elsewhere the kernel would throw their content away.
  static void release_pages(const TensorView& tensor) noexcept;

 private:
  std::string file_;
  void* map_ = nullptr;
  size_t bytes_ = 0;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

// Parses and checks a header alone; used by the class above and the fuzzer. `data_bytes`: size of the file behind the
// header. Tensors' data pointers are relative to `data`.
std::map<std::string, TensorView, std::less<>> parse_safetensors_header(std::string_view header, const std::byte* data,
                                                                        size_t data_bytes, const std::string& file);

}  // namespace wde
