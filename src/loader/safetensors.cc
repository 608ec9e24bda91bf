#include "loader/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kPrefixBytes = 8;                 // the header's length, little-endian
constexpr size_t kMostOfPointer = 1024;            // more than git-lfs writes in the place of a file

struct DtypeEntry {
  Dtype dtype;
  std::string_view name;
  size_t bytes;
};
constexpr std::array kDtypes = {
    DtypeEntry{Dtype::kF32, "F32", 4},   DtypeEntry{Dtype::kF16, "F16", 2}, DtypeEntry{Dtype::kBF16, "BF16", 2},
    DtypeEntry{Dtype::kF64, "F64", 8},   DtypeEntry{Dtype::kI64, "I64", 8}, DtypeEntry{Dtype::kI32, "I32", 4},
    DtypeEntry{Dtype::kI16, "I16", 2},   DtypeEntry{Dtype::kI8, "I8", 1},   DtypeEntry{Dtype::kU8, "U8", 1},
    DtypeEntry{Dtype::kBool, "BOOL", 1},
};

uint64_t read_little_endian(const unsigned char* data) {
  uint64_t value = 0;
  for (size_t i = 0; i < kPrefixBytes; ++i) value |= uint64_t{data[i]} << (8 * i);
  return value;
}

}  // namespace

size_t dtype_size(Dtype dtype) {
  for (const DtypeEntry& entry : kDtypes) {
    if (entry.dtype == dtype) return entry.bytes;
  }
  return 0;
}

std::string_view dtype_name(Dtype dtype) {
  for (const DtypeEntry& entry : kDtypes) {
    if (entry.dtype == dtype) return entry.name;
  }
  return "other";
}

void read_bytes(const TensorView& tensor, size_t begin, size_t bytes, std::byte* out) {
  if (bytes == 0) return;
  if (tensor.data != nullptr) {
    std::memcpy(out, tensor.data + begin, bytes);
  } else {
    tensor.file->read(tensor.offset + begin, bytes, out);
  }
}

SafetensorsFile::SafetensorsFile(const std::string& file) : file_(file) {
  const size_t bytes = file_.bytes();
  if (bytes == 0) throw LoadError(fmt::format("{}: expected a safetensors file, found an empty file", file));
  const std::string begin = file_.read(0, std::min(bytes, kMostOfPointer));
  refuse_lfs_pointer(begin, file);
  if (bytes < kPrefixBytes) {
    throw LoadError(fmt::format(
        "{}: expected a safetensors file, which begins with 8 bytes that give the header's length, found {} bytes",
        file, bytes));
  }
  const uint64_t header_bytes = read_little_endian(reinterpret_cast<const unsigned char*>(begin.data()));
  if (header_bytes > kMaxHeaderBytes) {
    throw LoadError(fmt::format(
        "{}: expected a safetensors header of at most {} bytes, found a header length of {}; not a safetensors file?",
        file, kMaxHeaderBytes, header_bytes));
  }
  if (header_bytes > bytes - kPrefixBytes) {
    throw LoadError(
        fmt::format("{}: expected a header of {} bytes, found {} bytes behind its length; the file is cut off", file,
                    header_bytes, bytes - kPrefixBytes));
  }
  const size_t data = kPrefixBytes + header_bytes;
  tensors_ = parse_safetensors_header(file_.read(kPrefixBytes, header_bytes), bytes - data, file);
  for (auto& [name, tensor] : tensors_) {
    tensor.file = &file_;
    tensor.offset += data;
  }
}

}  // namespace wde
