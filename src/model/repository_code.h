// The Python code that a repository brings along for its model (config.json's auto_map). It is never run: the engine
// has the mathematics of what is known, and says so of the rest.
#pragma once

#include <string>
#include <vector>

#include "loader/config.h"
#include "model/model.h"

namespace wde {

// "file.Class" of the model itself; "" if transformers' own code is meant.
std::string repository_code(const ConfigView& config);

// What the user should know about how `spec` was found, a sentence each: by the model's type, beside code that is not
// known.
std::vector<std::string> notes_on_architecture(const ConfigView& config, const ModelSpec& spec);

}  // namespace wde
