// The format of torch.save from before PyTorch 1.6: pickles one after another, then the tensors' bytes. Private to
// src/loader.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace wde {

bool is_legacy_torch_file(std::string_view bytes);

// The file's parts under the names that they have in today's zip archive: "archive/data.pkl", "archive/data/KEY". All
// lie inside `bytes`. Throws LoadError.
std::map<std::string, std::string_view, std::less<>> read_legacy_directory(std::string_view bytes,
                                                                           const std::string& file);

}  // namespace wde
