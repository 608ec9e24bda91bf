#include "server/serving/side_door.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "wde/result.h"
#include "wde/server_abi.h"

namespace wde::server {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModule = "wde_grpc.so";

// In the build, and where it is installed.
std::string find_module() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::string looked;
  for (const char* place : {"../plugins", "../lib/wde"}) {
    const fs::path file = (program / place / kModule).lexically_normal();
    if (fs::is_regular_file(file, error)) return file.string();
    looked += (looked.empty() ? "" : " or ") + file.string();
  }
  throw UsageError(fmt::format(
      "--grpc-port: this wde has no gRPC; expected {}. Build it with -DWDE_GRPC=ON (docs/serve.md)", looked));
}

template <class Function>
Function entry(void* library, const char* name, const std::string& file) {
  void* const symbol = dlsym(library, name);
  if (symbol == nullptr) throw UsageError(fmt::format("--grpc-port: {} is not wde's: it has no {}()", file, name));
  return reinterpret_cast<Function>(symbol);
}

}  // namespace

std::unique_ptr<SideDoor> open_grpc(const SideDoorOptions& options, App& app) {
  const std::string file = find_module();
  // Stays for the life of the process: threads of its libraries may run until the end.
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw UsageError(
        fmt::format("--grpc-port: {} cannot be loaded: {}", file, reason != nullptr ? reason : "no reason given"));
  }
  const std::string abi = entry<const char* (*)()>(library, "wde_grpc_abi", file)();
  if (abi != WDE_SERVER_HEADERS_DIGEST) {
    throw UsageError(fmt::format("--grpc-port: {} was built for another wde; build both together", file));
  }
  using Open = SideDoor* (*)(const SideDoorOptions*, App*);
  return std::unique_ptr<SideDoor>(entry<Open>(library, "wde_grpc_open", file)(&options, &app));
}

}  // namespace wde::server
