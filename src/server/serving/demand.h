// What a request will take - tokens, time, memory - before any of it has been computed, and what its answers take.
#pragma once

#include "server/dialects/plan.h"
#include "server/serving/admission.h"

namespace wde::server {

// How many tokens a request may have, before anybody has counted; with `shared_bytes` of what it has in common with
// others.
size_t estimated_tokens(const Request& request, size_t shared_bytes, size_t max_length);

// Seconds of all workers for an input of so many tokens, in pieces of the model's maximum length: by the engine's cost
// model. nullptr: there is none yet, and a guess of the model's size stands for it.
double seconds_of(size_t tokens, const Plan& plan, const Engine* engine);

// Throws ApiError (kTooLarge): its images have more pixels than `rules` allow.
Demand demand_of(const Plan& plan, const ApiRules& rules, size_t body_bytes, const Engine* engine);

// Of a response, and of what is written of it.
size_t answer_bytes(const Response& response);
// More of it than is allowed.
ApiError answer_too_large(size_t bytes, size_t limit);

}  // namespace wde::server
