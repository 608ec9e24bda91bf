// What chat clients call content: a string, or parts of text and images.
#pragma once

#include <string>

#include "server/dialects/plan.h"

namespace wde::server {

// "s", or [{"type": "text", "text": "…"}, …], which is one text of several lines; an {"type": "image_url", "image_url":
// {"url": "data:…"}} stands alone, for a model that takes images. `holder` has it as its member; `param`: the field of
// the body that errors name.
Request read_content(const Fields& holder, const std::string& param, bool images);

// vLLM's `messages` in place of `input`. Only models of images have no chat template in the way: theirs is the
// messages' contents one after the other. Throws ApiError for others, which would need their template.
Inputs read_messages(const Fields& fields, const ModelFacts& model);

}  // namespace wde::server
