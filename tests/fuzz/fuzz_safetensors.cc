// safetensors: the header parser on the bytes as they are, and the whole file through a memory file. Only LoadError may
// come out, and every tensor that is handed out must be readable.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "loader/safetensors.h"
#include "loader/weights.h"
#include "wde/result.h"

namespace {

void read_all(const std::string& file) {
  const wde::SafetensorsFile opened(file);
  std::vector<float> values(64);
  for (const auto& [name, tensor] : opened.tensors()) {
    const size_t count = std::min(tensor.elements(), values.size());
    wde::to_float32(tensor, tensor.elements() - count, count, values.data());
    std::vector<std::byte> content(tensor.bytes);
    wde::read_bytes(tensor, 0, content.size(), content.data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const size_t data_bytes : {size_t{0}, size_t{4}}) {
    try {
      (void)wde::parse_safetensors_header(text, data_bytes, "fuzz");
    } catch (const wde::LoadError&) {
    }
  }

  const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) std::abort();
  try {
    read_all("/proc/self/fd/" + std::to_string(descriptor));
  } catch (const wde::LoadError&) {
  }
  ::close(descriptor);
  return 0;
}
