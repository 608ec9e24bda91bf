// Images in requests: base64 in a data URL, or bare. Nothing is ever fetched, and no file is read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/dialects/plan.h"

namespace wde::server {

// "data:image/png;base64,…" or base64 alone. Throws ApiError, which names `where`.
Image image_of(std::string_view text, const std::string& where);

// For a model that takes images: texts that are data URLs of images become images.
void take_images(const ModelFacts& model, const std::string& where, std::vector<Request>& requests);

}  // namespace wde::server
