// Which of a repository's files an engine needs, from their names and from what modules.json and the index of the
// weights say.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace wde::hub {

struct Selection {
  std::vector<std::string> files;  // small ones first
  bool final = true;               // false: these first, then ask again, for they name others
};

// The content of a file that is there already; nullopt if it is not.
using ReadLocal = std::function<std::optional<nlohmann::json>(const std::string&)>;

// Throws LoadError: the repository has no model, or none in a format that can be read, or modules.json or an index
// names what cannot be. `what`: the model's name, for messages.
Selection select_files(const std::set<std::string>& names, const ReadLocal& read_local, const std::string& what);

// Where nobody knows which files there are: whether these alone can be a whole model. "": they can; else what is
// missing.
std::string find_gap(const std::set<std::string>& names, const ReadLocal& read_local);

}  // namespace wde::hub
