#include "server/dialects/api_error.h"

#include <fmt/format.h>

#include "server/json/json_out.h"

namespace wde::server {
namespace {

std::string_view tei_type(Fault fault) {
  switch (fault) {
    case Fault::kEmpty:
      return "Empty";
    case Fault::kOverloaded:
      return "Overloaded";
    case Fault::kUnavailable:
      return "Unhealthy";
    case Fault::kInternal:
    case Fault::kDeadline:
    case Fault::kWrongModel:
      return "Backend";
    default:
      return "Validation";
  }
}

std::string_view envelope_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

std::string_view envelope_code(Fault fault) {
  switch (fault) {
    case Fault::kSyntax:
      return "invalid_json";
    case Fault::kEmpty:
      return "empty_input";
    case Fault::kTooMany:
      return "too_many_inputs";
    case Fault::kTooLong:
      return "context_length_exceeded";
    case Fault::kTooLarge:
      return "body_too_large";
    case Fault::kUnauthorized:
      return "invalid_api_key";
    case Fault::kForbidden:
      return "forbidden";
    case Fault::kNotFound:
      return "unknown_url";
    case Fault::kNoModel:
      return "model_not_found";
    case Fault::kMethod:
      return "method_not_allowed";
    case Fault::kMediaType:
      return "unsupported_media_type";
    case Fault::kWrongModel:
      return "wrong_model_type";
    case Fault::kOverloaded:
      return "overloaded";
    case Fault::kUnavailable:
      return "unavailable";
    case Fault::kDeadline:
      return "deadline_exceeded";
    case Fault::kInternal:
      return "internal_error";
    case Fault::kInvalid:
      break;
  }
  return "invalid_value";
}

std::string envelope(const ApiError& error, int status) {
  JsonOut out;
  out.open('{').key("error").open('{');
  out.key("message").text(error.what());
  out.key("type").text(envelope_type(status));
  if (error.param.empty()) {
    out.key("param").null();
  } else {
    out.key("param").text(error.param);
  }
  out.key("code").text(envelope_code(error.fault)).close('}');
  out.key("detail").text(error.what());
  out.key("message").text(error.what()).close('}');
  return out.take();
}

}  // namespace

int status_of(Fault fault, ErrorStyle style) {
  const bool tei = style == ErrorStyle::kTei || style == ErrorStyle::kTeiOpenAi || style == ErrorStyle::kGrpc;
  switch (fault) {
    case Fault::kSyntax:
    case Fault::kEmpty:
      return 400;
    case Fault::kInvalid:
    case Fault::kTooMany:
    case Fault::kTooLong:
      return tei ? 422 : 400;
    case Fault::kTooLarge:
      return 413;
    case Fault::kUnauthorized:
      return 401;
    case Fault::kForbidden:
      return 403;
    case Fault::kNotFound:
    case Fault::kNoModel:
      return 404;
    case Fault::kMethod:
      return 405;
    case Fault::kMediaType:
      return 415;
    case Fault::kWrongModel:
      return tei ? 424 : 400;
    case Fault::kOverloaded:
      return 429;
    case Fault::kUnavailable:
      return 503;
    case Fault::kDeadline:
      return 504;
    case Fault::kInternal:
      return tei ? 424 : 500;
  }
  return 500;
}

std::string_view failure_label(Fault fault) {
  switch (fault) {
    case Fault::kTooMany:
      return "batch_size";
    case Fault::kWrongModel:
      return "model_type";
    case Fault::kOverloaded:
    case Fault::kUnavailable:
      return "overloaded";
    case Fault::kDeadline:
      return "deadline";
    case Fault::kInternal:
      return "inference";
    default:
      return "validation";
  }
}

HttpResponse error_response(const ApiError& error, ErrorStyle style) {
  HttpResponse response;
  response.status = status_of(error.fault, style);
  if (error.retry_after > 0) {
    response.headers.emplace_back("Retry-After", fmt::to_string(error.retry_after));
    response.headers.emplace_back("retry-after-ms", fmt::to_string(error.retry_after * 1000));
  }
  // What will be wrong the next time as well is not tried again; openai's and other clients obey this.
  if (response.status < 500 && response.status != 429) response.headers.emplace_back("x-should-retry", "false");
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  JsonOut out;
  switch (style) {
    case ErrorStyle::kEnvelope:
      response.body = envelope(error, response.status);
      return response;
    case ErrorStyle::kTei:
      out.open('{').key("error").text(error.what()).key("error_type").text(tei_type(error.fault)).close('}');
      break;
    case ErrorStyle::kTeiOpenAi:
      out.open('{').key("message").text(error.what()).key("code").integer(response.status);
      out.key("type").text(tei_type(error.fault)).close('}');
      break;
    case ErrorStyle::kOllama: {
      // Ollama's clients look for its sentence.
      const char* prefix = error.fault == Fault::kTooLong ? "the input length exceeds the context length: " : "";
      out.open('{').key("error").text(std::string(prefix) + error.what()).close('}');
      break;
    }
    case ErrorStyle::kGrpc:
      response.body = error.what();
      return response;
    case ErrorStyle::kBare:
      out.open('{').key("error").text(error.what()).close('}');
      break;
  }
  response.body = out.take();
  return response;
}

ApiError about(const ApiError& error, const std::string& item) {
  if (item.empty() || !error.param.empty()) return error;
  return {error.fault, fmt::format("`{}`: {}", item, error.what()), item, error.retry_after};
}

ApiError deadline_passed() {
  return {Fault::kDeadline, fmt::format("the deadline ({}) passed before the request's turn", kDeadlineNames)};
}

ApiError from_engine(const Error& error, const std::string& item) {
  switch (error.code) {
    case ErrorCode::kInvalidInput:
      return about({Fault::kInvalid, error.message}, item);
    case ErrorCode::kTooLong:
      return about({Fault::kTooLong, error.message}, item);
    case ErrorCode::kUnavailable:
      return {Fault::kUnavailable, error.message, {}, 1};
    case ErrorCode::kDeadline:
      return deadline_passed();
    default:
      return about({Fault::kInternal, error.message}, item);
  }
}

}  // namespace wde::server
