// Reads an image file that the command line or a line of the input names.
#pragma once

#include <string>

#include "wde/request.h"
#include "wde/result.h"

namespace wde::cli {

// A request for the image in this file, unread: the engine says whether it is one.
Result<Request> read_image_file(const std::string& path);

}  // namespace wde::cli
