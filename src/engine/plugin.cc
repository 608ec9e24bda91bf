// Loads plug-ins. A plug-in stays for the life of the process: what it registered may be in use until the end.
#include "wde/plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <mutex>

#include "engine/modules.h"

namespace wde {

namespace {

// The message of the last dl… function that failed.
std::string dl_message() {
  const char* message = dlerror();
  return message != nullptr ? message : "no reason given";
}

template <class Function>
Function entry(void* library, const char* name, const std::string& file) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) {
    throw LoadError(
        fmt::format("{} is not a plug-in of wde: it has no {}(); see WDE_PLUGIN in wde/plugin.h", file, name));
  }
  return reinterpret_cast<Function>(symbol);
}

using Register = void (*)();

Register open(const std::string& file) {
  // Symbols are looked up now, not when the first text comes; they do not get in the way of other plug-ins'.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw LoadError(fmt::format("the plug-in {} cannot be loaded: {}", file, dl_message()));
  try {
    const std::string abi = entry<const char* (*)()>(library, "wde_plugin_abi", file)();
    if (abi != WDE_PLUGIN_ABI) {
      throw LoadError(
          fmt::format("the plug-in {} was built for another wde ({}), this one is {} ({}); build it again with the "
                      "headers of this one",
                      file, abi, version(), WDE_PLUGIN_ABI));
    }
    return entry<Register>(library, "wde_plugin_register", file);
  } catch (...) {
    dlclose(library);
    throw;
  }
}

// What went wrong; "": nothing.
std::string call(Register register_modules) {
  try {
    register_modules();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "it threw an unknown exception";
  }
}

}  // namespace

void load_plugin(const std::string& file) {
  // A plug-in that takes the process over makes engines from within its entry, which load the plug-ins again.
  static std::recursive_mutex mutex;
  // File -> what call() said. One that failed is not called again: what it registered before that is still there.
  static std::map<std::string, std::string> loaded;
  if (!std::filesystem::is_regular_file(file)) {
    throw LoadError(fmt::format("the plug-in {} is not there; expected a shared object", file));
  }
  const std::string path = std::filesystem::canonical(file).string();  // with a slash: dlopen searches nowhere
  std::scoped_lock lock(mutex);
  auto it = loaded.find(path);
  if (it == loaded.end()) {
    const Register register_modules = open(path);
    it = loaded.emplace(path, "").first;
    it->second = call(register_modules);
  }
  if (!it->second.empty()) throw LoadError(fmt::format("the plug-in {} failed to register: {}", path, it->second));
}

void load_plugins(const EngineArgs& args) {
  const std::string& files = args.get("plugin");
  for (size_t begin = 0; begin < files.size();) {
    const size_t end = std::min(files.find(':', begin), files.size());
    if (end > begin) load_plugin(files.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace wde
