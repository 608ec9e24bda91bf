#include "server/dialects/shared/sharing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace wde::server {
namespace {

constexpr const char* kField = "priority";
constexpr std::string_view kHeader = "x-request-priority";

std::optional<int> read_header(const HttpRequest& request) {
  std::optional<int> found;
  for (const auto& [name, text] : request.headers) {
    if (name != kHeader) continue;
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < kMinPriority || value > kMaxPriority) {
      throw ApiError(Fault::kInvalid,
                     fmt::format("X-Request-Priority must be a whole number from {} to {}", kMinPriority, kMaxPriority),
                     kField);
    }
    if (found.value_or(value) != value) {
      throw ApiError(Fault::kInvalid, "X-Request-Priority is there twice, with different numbers", kField);
    }
    found = value;
  }
  return found;
}

std::optional<int> read_field(JsonValue body) {
  if (!body.is(JsonValue::Type::kObject)) return std::nullopt;  // the planner's matter
  const auto value = Fields(body).whole(kField, kMinPriority, kMaxPriority);
  return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

}  // namespace

Sharing read_sharing(const PlanContext& context, const ModelFacts& model) {
  const Caller& caller = context.request.caller;
  const std::optional<int> header = read_header(context.request), field = read_field(context.body);
  if (header && field && *header != *field) {
    throw ApiError(
        Fault::kInvalid,
        fmt::format("`{}` is {}, but the header X-Request-Priority is {}: send one of them, or the same twice", kField,
                    *field, *header),
        kField);
  }
  const std::optional<int> asked = field ? field : header;
  if (asked && *asked < caller.earliest) {
    throw ApiError(Fault::kForbidden,
                   fmt::format("`{}` is {}, and this client's requests may have {} at the earliest (lower is earlier); "
                               "the server's --api-key-file can allow its key more: KEY priority={}",
                               kField, *asked, caller.earliest, *asked),
                   kField);
  }
  if (asked && *asked != 0 && !model.info.sharing) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("`{}` is {}, and this server has no priorities but 0: start it with --scheduler fair",
                               kField, *asked),
                   kField);
  }
  return {caller.flow, caller.weight, asked.value_or(std::max(0, caller.earliest))};
}

}  // namespace wde::server
