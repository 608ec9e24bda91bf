// Plan: what a request's body asks of an engine, and how the answers become the response's body. Making one reads JSON
// and touches neither network nor engine, so that all of it can be tested and fuzzed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/json/json_in.h"
#include "server/json/json_out.h"
#include "server/serving/models.h"

namespace wde::server {

// Names that the engine's tasks and outputs have.
namespace task {
inline constexpr const char* kEmbed = "embed";
inline constexpr const char* kTokenEmbed = "token_embed";
inline constexpr const char* kSparse = "sparse";
inline constexpr const char* kMultiVector = "multi_vector";
inline constexpr const char* kScore = "score";
inline constexpr const char* kClassify = "classify";
inline constexpr const char* kTokenClassify = "token_classify";
inline constexpr const char* kTokenize = "tokenize";
inline constexpr const char* kAll = "all";  // bge-m3's embedding, sparse weights and vectors of tokens, from one pass
}  // namespace task

struct ApiRules {
  size_t max_inputs = 2048;
  size_t max_pixels = 268'435'456;  // of a request's images
  bool auto_truncate = true;        // where a request does not say
  bool native_token_input = false;  // token ids on OpenAI's route are the model's own
  bool strict_model_name = false;   // a name that no model has is an error, though there is one model only
  bool strict_dimensions = false;   // `dimensions` only as the model's files declare them
};

struct PlanContext {
  const HttpRequest& request;
  JsonValue body;
  Dialect dialect = Dialect::kPlain;
  const ApiRules& rules;
  // As Models::find().
  std::function<std::shared_ptr<const ModelFacts>(std::string_view name, TaskList tasks)> find_model;
  std::string_view path_model = {};  // the model that the path names
  std::string_view tail = {};        // what follows the JSON, on routes that allow it
  FieldLog* log = nullptr;

  Fields fields() const { return Fields(body, {}, log); }
};

struct Answer {
  const ModelFacts& model;
  const Engine& engine;
  std::vector<Response>& responses;  // one a request, in order
  size_t tokens = 0;                 // of all
  double seconds = 0;                // since the request came
  std::string_view request_id;
  std::span<const std::string> warnings = {};  // sentences for the client
};

// What a request says once and means for each of its inputs: kept once, and put into each Request when its turn comes,
// since a megabyte for each of two thousand texts would fill the memory.
struct Shared {
  std::optional<std::string> prompt;  // for texts and pairs that have none of their own
  std::optional<std::string> prompt_name;
  std::optional<std::string> query;  // of all pairs

  size_t bytes() const {
    return prompt.value_or("").size() + prompt_name.value_or("").size() + query.value_or("").size();
  }
  void fill_in(Request& request) const;
};

struct Plan {
  std::shared_ptr<const ModelFacts> model;
  std::string task;
  std::vector<Request> requests;
  Shared shared;
  Sharing sharing;       // of all requests, of plans that follow too
  bool average = false;  // of embed: texts that are too long in pieces (chunks.h)
  bool batch = false;    // the label `method` of te_request_count
  // Which part of the body a request comes from: "input[2]". Unset: not said.
  std::function<std::string(size_t)> item;
  std::vector<std::string> warnings;   // sentences for the client: what has no effect, or not the one it may expect
  bool undeclared_dimensions = false;  // the model's files do not say that its vectors may be cut to so many
  std::function<void(Answer&, HttpResponse&)> write;
  size_t later_tokens = 0;  // about so many do the plans that follow compute
  // Instead of `write`, where these answers decide what is to be computed: the plan that follows, of the same model. It
  // runs on what the first was admitted with.
  std::function<Plan(Answer&)> next;
};

// JSON has no NaN, and a client that got one would store it. Throws ApiError (kInternal).
void check_finite(const Plan& plan, const std::vector<Response>& responses);

// Throws ApiError.
using Planner = Plan (*)(const PlanContext&);

// What `planner` makes of the body. Members that it did not ask for are refused if they mean something that is not
// offered; others are named in the plan's warnings, as are dimensions that the model's files do not declare
// (make_plan.cc).
Plan make_plan(Planner planner, const PlanContext& context);
// The same of a part of a body, which has no priority of its own.
Plan make_part(Planner planner, const PlanContext& context);

// ---- what planners share (plan.cc) ------------------------------------------------------------------------------

// The model that the path names, else the body. `tasks`: of several models, which one answers a request that names none
// (Models::find).
std::shared_ptr<const ModelFacts> choose_model(const PlanContext& context, const Fields& fields, TaskList tasks = {});
void need_task(const ModelFacts& model, std::string_view task);
[[noreturn]] void invalid(const Fields& fields, std::string_view name, std::string_view demand);

enum class IdRule { kNative, kRefuse };
struct Inputs {
  std::vector<Request> requests;
  bool single = false;  // a lone string or list of ids
  // Plan::item.
  std::function<std::string(size_t)> items(std::string name) const;
};
// name[0], name[1], …
std::function<std::string(size_t)> items_of(std::string name);
// "s" | ["s", …] | [ids] | [[ids], …] | {"text": "s"} or {"image": base64} in place of a string. Throws for none and
// for empty ones.
Inputs read_inputs(const Fields& fields, std::string_view name, IdRule ids, const ApiRules& rules);
// "s" | {"text": "s"} | an object whose `rank_fields` are joined.
std::vector<std::string> read_documents(const Fields& fields, std::string_view name, const ApiRules& rules);
std::string read_text(const Fields& fields, std::string_view name);
void check_count(size_t count, std::string_view name, const ApiRules& rules);

// How a request's inputs are cut, in the words of all dialects: truncate (true, false, "START", "END", "NONE"),
// truncation, truncation_direction, truncation_side, truncate_prompt_tokens, max_tokens; or in ours: long_input.
struct Cut {
  Truncation truncation = Truncation::kModel;
  size_t max_length = 0;
  bool average = false;  // "long_input": "average"
};
// `averages`: what is asked for can be averaged over a text's pieces; else the request may not ask for that.
Cut read_cut(const Fields& fields, const ApiRules& rules, bool averages = false);
// `prompt`, `prompt_name`, or the role that `input_type` or `task` names.
struct PromptChoice {
  std::optional<std::string> text;
};
PromptChoice read_prompt(const Fields& fields, const ModelFacts& model);
// 0: all. `zero`: the request may say so too, as Infinity's clients do by default.
size_t read_dimensions(const Fields& fields, const ModelFacts& model, bool zero = false);
// What the client says once belongs into Plan::shared instead.
void apply(const Cut& cut, const PromptChoice& own, std::vector<Request>& requests);

enum class VectorFormat { kFloat, kBase64, kInt8, kUint8, kBinary, kUbinary };
// The value as JSON. int8 and uint8 (int8 + 128) are scaled by the vector's own largest magnitude; a bit is one where
// the value is positive, the first value in the highest bit. `as_base64`: narrow numbers as base64 of their bytes.
void write_vector(JsonOut& out, std::span<const float> values, VectorFormat format, bool as_base64 = false);
VectorFormat vector_format(const Fields& fields, std::string_view name);

// The output of this name. Throws ApiError (kInternal): the engine gave none.
const Output& output_of(const Response& response, std::string_view name);
// The score of a pair: `raw` before any activation, else between 0 and 1; by vectors of tokens, what MaxSim gives.
float score_of(const Response& response, bool raw);
float sigmoid(float x);
float dot(std::span<const float> a, std::span<const float> b);
// Numbers of the scores, the largest score's first; of equal ones the first.
std::vector<size_t> best_first(const std::vector<float>& scores);
void write_usage(JsonOut& out, size_t tokens);
// Cohere's "warnings", if there are any.
void write_warnings(JsonOut& out, std::span<const std::string> warnings);
// "truncated": true, where the input was cut to the maximum length.
void write_truncated(JsonOut& out, const Response& response);
// "id" and "created", which vLLM's and Infinity's answers have.
void write_id(JsonOut& out, const Answer& answer);
size_t expected_bytes(const Answer& answer);

}  // namespace wde::server
