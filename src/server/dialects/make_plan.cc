// What is read and checked of every body, whatever its dialect: priority, members that the planner did not ask for, and
// dimensions.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "server/dialects/plan.h"
#include "server/dialects/shared/sharing.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

// What clients send as a matter of course and what nothing follows from here, for every dialect: docs/serve.md lists
// them.
constexpr std::array<std::string_view, 16> kHarmless = {
    "model",   "user",      "metadata",       "request_id",       "cache_salt",   "keep_alive",
    "options", "stream",    "store",          "timeout",          "service_tier", "padding",
    "id",      "use_cache", "wait_for_model", "safety_identifier"};

struct NotOffered {
  std::string_view name;
  std::string_view sentence;
};

// What means another answer, and is refused unless it is false, null or empty.
constexpr std::string_view kZeroShot =
    "asks for zero-shot classification, which is not offered: a classifier answers with the labels of its own";
constexpr std::array<NotOffered, 20> kNotOffered = {{
    {"candidate_labels", kZeroShot},
    {"hypothesis_template", kZeroShot},
    {"multi_label", kZeroShot},
    {"messages", "is not offered on this route"},
    {"chat_template", "is not offered: texts are taken as they are"},
    {"chat_template_kwargs", "is not offered: texts are taken as they are"},
    {"mm_processor_kwargs", "is not offered"},
    {"return_multivector", "is not offered here: /pooling gives vectors of tokens"},
    {"return_embeddings", "is not offered here: /v1/embeddings gives them"},
    {"returned_token_ids", "is not offered"},
    {"step_tag_id", "is not offered"},
    {"grouped_entities", "is not offered: say it with `aggregation_strategy`"},
    {"ignore_subwords", "is not offered: say it with `aggregation_strategy`"},
    {"instruction", "is for rerankers that are language models, which this is not"},
    {"max_tokens_per_doc", "is not offered on this route"},
    {"max_chunks_per_doc", "is not offered on this route"},
    {"rank_fields", "is not offered on this route"},
    {"candidates", "is not offered"},
    {"question", "asks for question answering, which is not offered"},
    {"late_chunking", "is not offered"},
}};

bool is_nothing(JsonValue value) {
  if (value.is(Type::kNull)) return true;
  if (value.is(Type::kBoolean)) return !value.boolean();
  if (value.is(Type::kString)) return value.string().empty();
  return (value.is(Type::kArray) || value.is(Type::kObject)) && value.size() == 0;
}

// A name goes into a header, where not every character may stand.
std::string shown(std::string_view name) {
  constexpr size_t kLongest = 40;
  std::string out;
  for (const char c : name.substr(0, kLongest)) out += c >= 0x20 && c < 0x7F ? c : '?';
  return out;
}

void check_member(std::string_view name, const std::string& path, JsonValue value, const FieldLog& log,
                  std::vector<std::string>& unknown) {
  if (value.is(Type::kNull) || log.has(name)) return;
  if (std::find(kHarmless.begin(), kHarmless.end(), name) != kHarmless.end()) return;
  const auto* const found =
      std::find_if(kNotOffered.begin(), kNotOffered.end(), [&](const NotOffered& one) { return one.name == name; });
  if (found != kNotOffered.end()) {
    if (!is_nothing(value)) throw ApiError(Fault::kInvalid, fmt::format("`{}` {}", path, found->sentence), path);
    return;
  }
  if (name == "encoding_format") {
    if (value.string() == "float") return;
    throw ApiError(Fault::kInvalid, fmt::format("`{}` must be float: this route answers with numbers", path), path);
  }
  unknown.push_back(shown(path));
}

void check_within(const FieldLog& log, std::vector<std::string>& unknown) {
  for (const FieldLog::Within& one : log.all_within()) {
    one.object.each_field([&](std::string_view name, JsonValue value) {
      check_member(name, one.where + std::string(name), value, one.log, unknown);
    });
    check_within(one.log, unknown);
  }
}

// `whole`: not a part of a body, but all of it.
void check_unread(JsonValue body, bool whole, const FieldLog& log, Plan& plan) {
  std::vector<std::string> unknown;
  body.each_field([&](std::string_view name, JsonValue value) {
    if (whole && name == "priority") return;
    const bool options = name == "parameters" || name == "options" || name == "config";
    if (!options || !value.is(Type::kObject) || !log.has(name))
      return check_member(name, std::string(name), value, log, unknown);
    value.each_field([&](std::string_view inner, JsonValue member) {
      check_member(inner, fmt::format("{}.{}", name, inner), member, log, unknown);
    });
  });
  check_within(log, unknown);
  if (unknown.empty()) return;
  constexpr size_t kNamed = 8;
  const size_t more = unknown.size() > kNamed ? unknown.size() - kNamed : 0;
  unknown.resize(unknown.size() - more);
  plan.warnings.push_back(fmt::format("without effect here: {}{}", fmt::join(unknown, ", "),
                                      more > 0 ? fmt::format(" and {} more", more) : ""));
}

void check_dimensions(const ApiRules& rules, Plan& plan) {
  const EngineInfo& info = plan.model->info;
  const size_t wanted = plan.requests.empty() ? 0 : plan.requests[0].dimensions;
  if (wanted == 0 || wanted == info.dimensions || plan.undeclared_dimensions) return;
  const auto& declared = info.matryoshka_dimensions;
  if (info.matryoshka && (declared.empty() || std::find(declared.begin(), declared.end(), wanted) != declared.end())) {
    return;
  }
  const std::string what =
      declared.empty()
          ? std::string("the model's files do not say that it was trained for shorter vectors (matryoshka)")
          : fmt::format("the model's files declare {} only", fmt::join(declared, ", "));
  if (rules.strict_dimensions) {
    throw ApiError(Fault::kInvalid, fmt::format("`dimensions` is {}, but {}", wanted, what), "dimensions");
  }
  plan.undeclared_dimensions = true;
  plan.warnings.push_back(fmt::format("dimensions is {}, but {}", wanted, what));
}

Plan make(Planner planner, PlanContext context, bool whole) {
  FieldLog log;
  context.log = &log;
  Plan plan = planner(context);
  if (!log.empty()) check_unread(context.body, whole, log, plan);
  check_dimensions(context.rules, plan);
  return plan;
}

}  // namespace

Plan make_plan(Planner planner, const PlanContext& context) {
  Plan plan = make(planner, context, true);
  plan.sharing = read_sharing(context, *plan.model);
  return plan;
}

Plan make_part(Planner planner, const PlanContext& context) { return make(planner, context, false); }

}  // namespace wde::server
