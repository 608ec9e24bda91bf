// What an input is by its first bytes and its name, where that is neither lines nor JSON: a sentence that says how to
// make lines of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace wde::cli {

// `head`: the first bytes. `guess`: nobody said by --input-format what it is, so the name counts as well.
std::optional<std::string> refused_kind(std::string_view name, std::string_view head, bool guess);

}  // namespace wde::cli
