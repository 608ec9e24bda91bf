#include "base/view.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace wde {

namespace {
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kPage = 4096;
}  // namespace

// Straight from the kernel: zero-filled without touching the pages, given back at once, and aligned for huge pages,
// which spare the GEMM most of its TLB misses on weights.
AlignedBuffer::AlignedBuffer(size_t bytes, Pages pages) : bytes_(bytes) {
  if (bytes == 0) return;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kPage;
  if (bytes > SIZE_MAX - 2 * kHugePage) throw std::bad_alloc();
  const size_t length = (bytes + kPage - 1) / kPage * kPage;
  char* raw =
      static_cast<char*>(mmap(nullptr, length + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (raw == MAP_FAILED) throw std::bad_alloc();
  char* begin = reinterpret_cast<char*>((reinterpret_cast<size_t>(raw) + alignment - 1) / alignment * alignment);
  if (begin != raw) munmap(raw, static_cast<size_t>(begin - raw));
  char* end = raw + length + alignment;
  if (begin + length != end) munmap(begin + length, static_cast<size_t>(end - begin) - length);
  // Advice: failure changes nothing.
  if (alignment == kHugePage) madvise(begin, length, pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  data_ = begin;
  mapped_ = length;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) munmap(data_, mapped_);
}

}  // namespace wde
