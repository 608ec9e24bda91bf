// ApiError: what is wrong with a request, once; and the bodies in which clients of different servers expect to be told.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "server/net/http.h"
#include "wde/result.h"

namespace wde::server {

enum class Fault {
  kSyntax,    // the body is no JSON
  kEmpty,     // nothing to work on
  kInvalid,   // a field is wrong
  kTooMany,   // inputs
  kTooLong,   // an input has more tokens than the model takes, and is not to be cut
  kTooLarge,  // the body
  kUnauthorized,
  kForbidden,  // not for this host, page or key
  kNotFound,   // no such path
  kNoModel,    // no such model
  kMethod,
  kMediaType,
  kWrongModel,  // the model cannot do this
  kOverloaded,
  kUnavailable,  // loading, draining
  kDeadline,
  kInternal,
};

class ApiError : public std::runtime_error {
 public:
  ApiError(Fault which, const std::string& message, std::string param_name = {}, int retry_seconds = 0)
      : std::runtime_error(message), fault(which), param(std::move(param_name)), retry_after(retry_seconds) {}

  Fault fault;
  std::string param;    // the field that is wrong
  int retry_after = 0;  // seconds; 0: says nothing
};

// Whose clients are answered. kPlain is the superset on paths without a prefix.
enum class Dialect { kPlain, kOpenAi, kTei, kCohere, kJina, kVoyage, kInfinity, kVllm, kOllama, kWeaviate };

enum class ErrorStyle {
  kEnvelope,   // {"error": {message, type, param, code}, "detail", "message"}: OpenAI, vLLM, Cohere, Jina, Voyage
  kTei,        // {"error", "error_type"}
  kTeiOpenAi,  // {"message", "code", "type"}: TEI's own on its OpenAI route
  kOllama,     // {"error": "…"} in Ollama's words
  kBare,       // {"error": "…"}: Weaviate's, KServe's
  kGrpc,       // the sentence alone, with TEI's status
};

// Where a deadline comes from, for sentences about one.
inline constexpr std::string_view kDeadlineNames = "X-Request-Timeout-Ms, a gRPC call's deadline, --request-timeout";

int status_of(Fault fault, ErrorStyle style);
// The label of te_request_failure.
std::string_view failure_label(Fault fault);
HttpResponse error_response(const ApiError& error, ErrorStyle style);
ApiError deadline_passed();
// `item`: the part of the body that the error is about, "input[2]"; "" where it is not known.
ApiError from_engine(const Error& error, const std::string& item = {});
// The error with the item's name before its sentence, as its param.
ApiError about(const ApiError& error, const std::string& item);

}  // namespace wde::server
