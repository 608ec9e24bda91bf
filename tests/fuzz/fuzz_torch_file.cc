// Files of torch.save: the bytes as a whole file, and as the pickle in one. Only LoadError may come out, and every
// tensor that is handed out must be readable.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "../unit/torch_files.h"
#include "loader/torch_file.h"
#include "loader/weights.h"
#include "wde/result.h"

namespace {

void read_all(const std::string& bytes) {
  const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::abort();
  }
  try {
    const wde::TorchFile opened("/proc/self/fd/" + std::to_string(descriptor));
    std::vector<float> values(64);
    for (const auto& [name, tensor] : opened.tensors()) {
      if (name != tensor.name) std::abort();
      const size_t count = std::min(tensor.elements(), values.size());
      wde::to_float32(tensor, tensor.elements() - count, count, values.data());
      std::vector<std::byte> content(tensor.bytes);
      wde::read_bytes(tensor, 0, content.size(), content.data());
    }
  } catch (const wde::LoadError&) {
  }
  ::close(descriptor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read_all(bytes);
  read_all(wde::test::torch_file(bytes, {std::string(64, 'a'), std::string(4, 'b'), ""}).archive);
  return 0;
}
