#include "loader/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kPrefixBytes = 8;                 // the header's length, little-endian

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

// Unmaps on the way out unless kept: the constructor may throw behind the mapping.
struct Mapping {
  void* data = nullptr;
  size_t bytes = 0;
  ~Mapping() {
    if (data != nullptr) ::munmap(data, bytes);
  }
};

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

SafetensorsFile::SafetensorsFile(const std::string& file) : file_(file) {
  const FileHandle handle(file);
  const size_t bytes = handle.bytes();
  if (bytes == 0) throw LoadError(fmt::format("{}: expected a safetensors file, found an empty file", file));

  Mapping mapping;
  void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, handle.descriptor(), 0);
  if (address == MAP_FAILED) {
    throw LoadError(
        fmt::format("{}: mapping its {} bytes failed: {}", file, bytes, std::generic_category().message(errno)));
  }
  mapping.data = address;
  mapping.bytes = bytes;

  const auto* begin = static_cast<const char*>(address);
  refuse_lfs_pointer(std::string_view(begin, bytes), file);
  if (bytes < kPrefixBytes) {
    throw LoadError(fmt::format(
        "{}: expected a safetensors file, which begins with 8 bytes that give the header's length, found {} bytes",
        file, bytes));
  }
  const uint64_t header_bytes = read_little_endian(reinterpret_cast<const unsigned char*>(begin));
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
  const char* data = begin + kPrefixBytes + header_bytes;
  tensors_ =
      parse_safetensors_header(std::string_view(begin + kPrefixBytes, header_bytes),
                               reinterpret_cast<const std::byte*>(data), bytes - kPrefixBytes - header_bytes, file);
  map_ = mapping.data;
  bytes_ = bytes;
  mapping.data = nullptr;
}

SafetensorsFile::~SafetensorsFile() { ::munmap(map_, bytes_); }

void SafetensorsFile::release_pages(const TensorView& tensor) noexcept {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(tensor.data);
  const uintptr_t first = (begin + page - 1) / page * page;  // pages shared with a neighbour stay
  const uintptr_t last = (begin + tensor.bytes) / page * page;
  // Only a hint: if it fails, the pages stay until the kernel wants them.
  if (first < last) (void)::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace wde
