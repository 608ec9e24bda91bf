// What bytes are known by: checksums at the speed of memory (XXH3), for what a file is to have been left alone, not for
// what somebody may have forged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "loader/weight_file.h"

namespace wde {

uint64_t hash_bytes(const void* data, size_t bytes) noexcept;
// Of the whole file, 128 bits in hex.
std::string hash_file(const WeightFile& file);

}  // namespace wde
