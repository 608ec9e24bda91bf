// Registry: name -> factory of one kind of module. The only global mutable state of the engine; filled before main() by
// WDE_REGISTER lines in the modules' own files and by plug-ins, read afterwards.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wde/result.h"

namespace wde {

// "a, b, c", for messages that list what is known.
std::string join_names(const std::vector<std::string>& names);

template <class Entry>
class Registry {
 public:
  explicit Registry(std::string kind) : kind_(std::move(kind)) {}

  // Throws LoadError if the name is taken.
  bool add(std::string name, Entry entry) {
    std::scoped_lock lock(mutex_);
    if (!entries_.emplace(name, std::move(entry)).second)
      throw LoadError("the " + kind_ + " '" + name + "' is registered twice");
    return true;
  }

  // The same, whether the name is taken or not: for plug-ins, before anything is made by that name.
  bool replace(std::string name, Entry entry) {
    std::scoped_lock lock(mutex_);
    entries_.insert_or_assign(std::move(name), std::move(entry));
    return true;
  }

  const Entry* find(std::string_view name) const {
    std::scoped_lock lock(mutex_);
    auto it = entries_.find(name);
    return it == entries_.end() ? nullptr : &it->second;  // map nodes do not move
  }

  // Throws UsageError with the list of known names.
  const Entry& get(std::string_view name) const {
    if (const Entry* entry = find(name)) return *entry;
    throw UsageError("unknown " + kind_ + " '" + std::string(name) + "'; known: " + join_names(names()));
  }

  std::vector<std::string> names() const {
    std::scoped_lock lock(mutex_);
    std::vector<std::string> out;
    for (const auto& [name, entry] : entries_) out.push_back(name);
    return out;
  }

 private:
  std::string kind_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace wde

// Runs an expression (a registration) before main(). One a module, in its own .cc file.
#define WDE_CONCAT_INNER(a, b) a##b
#define WDE_CONCAT(a, b) WDE_CONCAT_INNER(a, b)
#define WDE_REGISTER(expression) [[maybe_unused]] static const bool WDE_CONCAT(registered_, __COUNTER__) = (expression)
