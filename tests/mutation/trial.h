// Trial: a mutant is loaded and asked for answers through the public API, as a program would do it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "mutation/mutation.h"

namespace wde::mutation {

struct Outcome {
  bool refused = false;                     // by a sentence, at load
  std::string fault;                        // "": a clear error, or answers
  std::vector<std::vector<float>> answers;  // what came, of all tasks and inputs, one after the other
  std::string sentence;                     // of the refusal
};

// `inputs` of every kind go through two of the model's tasks, which `random` picks.
Outcome try_model(const std::filesystem::path& model, const std::filesystem::path& images, Random random);

}  // namespace wde::mutation
