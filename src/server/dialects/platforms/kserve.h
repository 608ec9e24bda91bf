// KServe's Open Inference Protocol: which tensors a model takes and gives there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/net/http.h"
#include "server/serving/models.h"

namespace wde::server {

struct KserveTensor {
  std::string_view name;
  std::string_view datatype;  // "BYTES" or "FP32"
  size_t columns = 0;         // 0: one value a text
};

struct KserveSignature {
  std::string_view task;  // "": the model gives nothing that tensors of one size can hold
  std::vector<KserveTensor> inputs, outputs;
};

// Of what the model was made for.
KserveSignature kserve_signature(const ModelFacts& model);

// Takes what follows the JSON off a request's body: Inference-Header-Content-Length says where it ends. Throws
// ApiError.
std::string take_tail(HttpRequest& request);

// The only version that a model has.
inline constexpr std::string_view kKserveVersion = "1";

}  // namespace wde::server
