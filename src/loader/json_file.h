// What the readers of this folder share: JSON with bounded depth, and texts from
// hostile files made fit for messages. Private to src/loader.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/regular_file.h"

namespace wde {

std::string join_path(const std::string& directory, std::string_view name);
// True also for a symbolic link that leads nowhere, so that a broken download is an error and not an absent file.
bool file_exists(const std::string& file);

// Throws LoadError if the text is what git-lfs leaves where a file was not downloaded.
void refuse_lfs_pointer(std::string_view text, const std::string& file);

// Any JSON value. Throws LoadError: as ConfigView::read, but for the object. A key given twice: the last one wins, as
// Python does.
nlohmann::json read_json_file(const std::string& file);
nlohmann::json parse_json(std::string_view text, const std::string& file);

// The LoadError for text that is not JSON: line, column and the reason. `byte` counts from 1, as nlohmann's errors do.
[[noreturn]] void throw_json_error(std::string_view text, const std::string& file, size_t byte,
                                   std::string_view reason);

// In double quotes, cut to a length fit for a message, control characters and quotes escaped.
std::string quote(std::string_view text);
// "a string "x"", "null", "a list of 3": what was found where something else was expected.
std::string describe(const nlohmann::json& value);

}  // namespace wde
