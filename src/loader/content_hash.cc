#include "loader/content_hash.h"

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace wde {

uint64_t hash_bytes(const void* data, size_t bytes) noexcept { return XXH3_64bits(data, bytes); }

std::string hash_file(const WeightFile& file) {
  constexpr size_t kPiece = size_t{1} << 17;  // of the L2 cache's size
  const auto free = [](XXH3_state_t* state) { XXH3_freeState(state); };
  const std::unique_ptr<XXH3_state_t, decltype(free)> state(XXH3_createState(), free);
  if (state == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  std::vector<char> piece(kPiece);
  for (size_t at = 0; at < file.bytes(); at += kPiece) {
    const size_t bytes = std::min(kPiece, file.bytes() - at);
    file.read(at, bytes, piece.data());
    XXH3_128bits_update(state.get(), piece.data(), bytes);
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace wde
