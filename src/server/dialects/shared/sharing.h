// Who asks, and how soon: in all dialects `priority` in the body, as vLLM has it, or the header X-Request-Priority.
#pragma once

#include "server/dialects/plan.h"

namespace wde::server {

// Throws ApiError: the priority is none, is said in two ways, is earlier than the caller may have, or `model` does not
// go by priorities.
Sharing read_sharing(const PlanContext& context, const ModelFacts& model);

}  // namespace wde::server
