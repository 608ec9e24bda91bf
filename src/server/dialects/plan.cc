#include "server/dialects/plan.h"

#include "server/dialects/data_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <limits>
#include <numeric>

namespace wde::server {
namespace {

using Type = JsonValue::Type;

// More than any model's maximum; keeps what is made of it in range.
constexpr int64_t kMaxLength = 1 << 24;
constexpr size_t kMaxRankFields = 32;

std::string text_of(JsonValue value, const std::string& where) {
  if (value.is(Type::kString)) return std::string(value.string());
  if (value.is(Type::kObject)) {
    if (auto text = Fields(value, where + ".").text("text")) return *text;
  }
  throw ApiError(Fault::kInvalid, fmt::format("`{}` must be a string; it is {}", where, type_name(value.type())),
                 where);
}

// Where texts are expected, an array in place of one is a sequence of token ids, or a mistake that is told apart.
bool holds_numbers(JsonValue array) {
  bool numbers = true;
  array.each([&](JsonValue item) { numbers = numbers && (item.is(Type::kInteger) || item.is(Type::kNumber)); });
  return numbers;
}

void refuse_nested(JsonValue array, const std::string& where) {
  std::string_view kind;
  array.each([&](JsonValue item) {
    if (kind.empty() && !item.is(Type::kInteger) && !item.is(Type::kNumber)) kind = type_name(item.type());
  });
  throw ApiError(Fault::kInvalid,
                 fmt::format("`{}` must be a string; it is an array that holds {}. Send one flat array of texts: "
                             "[\"a\", \"b\"]",
                             where, kind),
                 where);
}

TokenIds ids_of(JsonValue array, const std::string& where) {
  TokenIds ids;
  array.each([&](JsonValue value) {
    const int64_t id = value.integer();
    if (!value.is(Type::kInteger) || id < 0 || id > std::numeric_limits<int32_t>::max()) {
      throw ApiError(Fault::kInvalid, fmt::format("`{}` has a token id that is no whole number of 0 or more", where),
                     where);
    }
    ids.ids.push_back(static_cast<int32_t>(id));
  });
  return ids;
}

void refuse_ids(const std::string& where) {
  throw ApiError(
      Fault::kInvalid,
      fmt::format("`{}` holds token ids. Clients send those of OpenAI's own tokenizers, which mean other words to this "
                  "model, so they are refused. Send texts (LangChain: check_embedding_ctx_length=False); or, if they "
                  "are this model's ids, start the server with --token-input native",
                  where),
      where);
}

Request read_one(const Fields& fields, JsonValue value, const std::string& where, IdRule rule) {
  Request request;
  if (value.is(Type::kArray)) {
    if (!holds_numbers(value)) refuse_nested(value, where);
    if (rule == IdRule::kRefuse && value.size() > 0) refuse_ids(where);
    TokenIds ids = ids_of(value, where);
    if (ids.ids.empty()) throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", where), where);
    request.input = std::move(ids);
    return request;
  }
  std::optional<std::string> said;
  if (value.is(Type::kObject)) {
    const Fields object = fields.within(value, where + ".");
    if (const auto image = object.text("image")) {
      request.input = image_of(*image, where + ".image");
      return request;
    }
    said = object.text("text");
  }
  std::string text = said ? *std::move(said) : text_of(value, where);
  if (text.empty()) throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", where), where);
  request.input = std::move(text);
  return request;
}

}  // namespace

float sigmoid(float x) { return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x)))); }

std::shared_ptr<const ModelFacts> choose_model(const PlanContext& context, const Fields& fields, TaskList tasks) {
  std::string name = context.path_model.empty() ? fields.text("model").value_or("") : std::string(context.path_model);
  if (name == "default/not-specified") name.clear();  // Infinity's clients say so where nobody named one
  return context.find_model(name, tasks);
}

void need_task(const ModelFacts& model, std::string_view task) {
  if (model.can(task)) return;
  std::vector<std::string_view> tasks;
  for (const std::string& other : model.tasks) {
    if (model.can(other)) tasks.push_back(other);
  }
  const bool sparse = task == task::kEmbed && model.can(task::kSparse);
  throw ApiError(Fault::kWrongModel,
                 fmt::format("the model {} ({}) cannot answer this: it has no task \"{}\", but {}{}", model.name,
                             model.architecture, task, fmt::join(tasks, ", "),
                             sparse ? "; its sparse weights are at /embed_sparse and /pooling" : ""));
}

void invalid(const Fields& fields, std::string_view name, std::string_view demand) {
  throw ApiError(Fault::kInvalid, fmt::format("`{}` {}", fields.path(name), demand), fields.path(name));
}

void check_count(size_t count, std::string_view name, const ApiRules& rules) {
  if (count == 0) throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", name), std::string(name));
  if (count > rules.max_inputs) {
    throw ApiError(Fault::kTooMany,
                   fmt::format("`{}` has {} items, and a request may have {} (batch size {} > maximum allowed batch "
                               "size {})",
                               name, count, rules.max_inputs, count, rules.max_inputs),
                   std::string(name));
  }
}

std::function<std::string(size_t)> items_of(std::string name) {
  return [name = std::move(name)](size_t i) { return fmt::format("{}[{}]", name, i); };
}

std::function<std::string(size_t)> Inputs::items(std::string name) const {
  if (!single) return items_of(std::move(name));
  return [name = std::move(name)](size_t) { return name; };
}

Inputs read_inputs(const Fields& fields, std::string_view name, IdRule ids, const ApiRules& rules) {
  const JsonValue value = fields.need(name);
  const std::string where = fields.path(name);
  Inputs inputs;
  if (!value.is(Type::kArray)) {
    inputs.single = true;
    inputs.requests.push_back(read_one(fields, value, where, ids));
    return inputs;
  }
  bool numbers = false;
  bool first = true;
  value.each([&](JsonValue item) {
    if (first) numbers = item.is(Type::kInteger) || item.is(Type::kNumber);
    first = false;
  });
  if (numbers) {  // one sequence of ids
    inputs.single = true;
    inputs.requests.push_back(read_one(fields, value, where, ids));
    return inputs;
  }
  const size_t count = value.size();
  check_count(count, where, rules);
  inputs.requests.reserve(count);
  value.each([&](JsonValue item) {
    inputs.requests.push_back(read_one(fields, item, fmt::format("{}[{}]", where, inputs.requests.size()), ids));
  });
  return inputs;
}

std::string read_text(const Fields& fields, std::string_view name) {
  std::string text = text_of(fields.need(name), fields.path(name));
  if (text.empty())
    throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", fields.path(name)), fields.path(name));
  return text;
}

std::vector<std::string> read_documents(const Fields& fields, std::string_view name, const ApiRules& rules) {
  const JsonValue value = fields.need(name);
  const std::string where = fields.path(name);
  if (!value.is(Type::kArray)) invalid(fields, name, "must be an array of texts");
  const size_t count = value.size();
  check_count(count, where, rules);
  std::vector<std::string> rank_fields;
  if (const auto wanted = fields.find("rank_fields"); wanted && wanted->is(Type::kArray)) {
    wanted->each([&](JsonValue field) {
      std::string field_name(field.string());
      // Each once: a body must not become larger by being read.
      if (std::find(rank_fields.begin(), rank_fields.end(), field_name) == rank_fields.end() &&
          rank_fields.size() < kMaxRankFields) {
        rank_fields.push_back(std::move(field_name));
      }
    });
  }
  std::vector<std::string> documents;
  documents.reserve(count);
  value.each([&](JsonValue item) {
    const std::string at = fmt::format("{}[{}]", where, documents.size());
    if (rank_fields.empty() || !item.is(Type::kObject)) {
      documents.push_back(text_of(item, at));
      return;
    }
    const Fields object(item, at + ".");
    std::string text;
    for (const std::string& field : rank_fields) {
      const auto part = object.text(field);
      if (!part) continue;
      if (!text.empty()) text += '\n';
      text += *part;
    }
    documents.push_back(std::move(text));
  });
  return documents;
}

Cut read_cut(const Fields& fields, const ApiRules& rules, bool averages) {
  Cut cut;
  bool truncates = rules.auto_truncate;
  std::optional<bool> left;
  for (const char* name : {"truncate", "truncation"}) {
    const auto value = fields.find(name);
    if (!value) continue;
    if (value->is(Type::kBoolean)) {
      truncates = value->boolean();
    } else if (const auto word = fields.choice(name, {"NONE", "START", "END", "LEFT", "RIGHT"})) {
      truncates = *word != 0;
      if (*word != 0) left = *word == 1 || *word == 3;
    }
  }
  for (const char* name : {"truncation_direction", "truncation_side"}) {
    if (const auto side = fields.choice(name, {"left", "right"})) left = *side == 0;
  }
  if (const auto tokens = fields.whole("truncate_prompt_tokens", -1, kMaxLength)) {
    truncates = true;
    if (*tokens > 0) cut.max_length = static_cast<size_t>(*tokens);
  }
  for (const char* name : {"max_tokens", "max_length"}) {
    if (const auto tokens = fields.whole(name, 1, kMaxLength)) cut.max_length = static_cast<size_t>(*tokens);
  }
  if (const auto word = fields.choice("long_input", {"error", "right", "left", "average"})) {
    truncates = *word != 0;
    left = *word == 2;
    cut.average = *word == 3;
    if (cut.average && !averages) invalid(fields, "long_input", "can be \"average\" for embeddings only");
  }
  cut.truncation = !truncates ? Truncation::kRefuse
                   : !left    ? Truncation::kModel
                   : *left    ? Truncation::kLeft
                              : Truncation::kRight;
  return cut;
}

namespace {

// A model with an adapter for each task (jina-embeddings-v3) is served with one of them: with another's vectors would
// be those of another task.
void check_adapter(const Fields& fields, std::string_view field, const std::string& task, const EngineInfo& info) {
  if (task == info.adapter) return;
  if (std::find(info.adapters.begin(), info.adapters.end(), task) == info.adapters.end()) return;
  invalid(
      fields, field,
      fmt::format("asks for the adapter \"{}\", but the model is served with {}: start a server with --lora-task {}",
                  task, info.adapter.empty() ? "none" : "\"" + info.adapter + "\"", task));
}

// A role that a model may have no prompt for.
bool is_role(std::string_view word) {
  constexpr std::array<std::string_view, 6> kRoles = {"query",      "document",       "similarity",
                                                      "clustering", "classification", "image"};
  return std::find(kRoles.begin(), kRoles.end(), word) != kRoles.end();
}

}  // namespace

PromptChoice read_prompt(const Fields& fields, const ModelFacts& model) {
  PromptChoice choice;
  choice.text = fields.text("prompt");
  const auto name = fields.text("prompt_name");
  if (choice.text) return choice;
  if (name) {
    const auto found = model.info.prompts.find(*name);
    if (found == model.info.prompts.end()) {
      std::vector<std::string> names;
      for (const auto& [known, text] : model.info.prompts) names.push_back(known);
      const std::string known = names.empty() ? "it has none" : fmt::format("it has: {}", fmt::join(names, ", "));
      invalid(fields, "prompt_name", fmt::format("\"{}\" is no prompt of the model {}; {}", *name, model.name, known));
    }
    choice.text = found->second;
    return choice;
  }
  for (const char* field : {"input_type", "task"}) {
    auto role = fields.text(field);
    if (!role) continue;
    check_adapter(fields, field, *role, model.info);
    // Cohere's search_query, Jina's retrieval.query and Voyage's query are one.
    std::string_view word = *role;
    if (word == "search_query" || word == "retrieval.query" || word == "retrieval_query") word = "query";
    if (word == "search_document" || word == "retrieval.passage" || word == "passage") word = "document";
    if (word == "text-matching") word = "similarity";
    if (word == "separation") word = "clustering";
    if (const std::string* prompt = model.prompt_for(word)) {
      choice.text = *prompt;
    } else if (!is_role(word) && *role != model.info.adapter) {
      const bool jina = std::string_view(field) == "task";
      invalid(fields, field,
              fmt::format("\"{}\" is neither a role ({}) nor a prompt{} of the model {}", *role,
                          jina ? "retrieval.query, retrieval.passage, text-matching, separation, classification"
                               : "query, document, similarity, clustering, classification, image",
                          jina ? " or an adapter" : "", model.name));
    }
    return choice;
  }
  return choice;
}

size_t read_dimensions(const Fields& fields, const ModelFacts& model, bool zero) {
  const size_t all = model.info.dimensions;
  for (const char* name : {"dimensions", "output_dimension"}) {
    const auto wanted = fields.whole(name, zero ? 0 : 1, all > 0 ? static_cast<int64_t>(all) : kMaxLength);
    if (wanted) return static_cast<size_t>(*wanted);
  }
  return 0;
}

void Shared::fill_in(Request& request) const {
  if (std::holds_alternative<TokenIds>(request.input)) return;
  if (!request.prompt) request.prompt = prompt;
  if (!request.prompt_name) request.prompt_name = prompt_name;
  auto* const pair = std::get_if<TextPair>(&request.input);
  if (pair != nullptr && query) pair->query = *query;
}

void apply(const Cut& cut, const PromptChoice& own, std::vector<Request>& requests) {
  for (Request& request : requests) {
    request.truncation = cut.truncation;
    request.max_length = cut.max_length;
    if (!std::holds_alternative<TokenIds>(request.input)) request.prompt = own.text;
  }
}

VectorFormat vector_format(const Fields& fields, std::string_view name) {
  return static_cast<VectorFormat>(
      fields.choice(name, {"float", "base64", "int8", "uint8", "binary", "ubinary"}).value_or(0));
}

namespace {

std::vector<int32_t> narrowed(std::span<const float> values, VectorFormat format) {
  std::vector<int32_t> whole;
  switch (format) {
    case VectorFormat::kFloat:
    case VectorFormat::kBase64:
      break;  // not narrow
    case VectorFormat::kInt8:
    case VectorFormat::kUint8: {
      float largest = 0;
      for (float value : values) largest = std::max(largest, std::abs(value));
      const float scale = largest > 0 ? 127.0F / largest : 0;
      const int32_t offset = format == VectorFormat::kUint8 ? 128 : 0;
      for (float value : values) whole.push_back(static_cast<int32_t>(std::lround(value * scale)) + offset);
      break;
    }
    case VectorFormat::kBinary:
    case VectorFormat::kUbinary: {
      const int32_t offset = format == VectorFormat::kBinary ? -128 : 0;
      for (size_t i = 0; i < values.size(); i += 8) {
        int32_t byte = 0;
        for (size_t bit = 0; bit < 8 && i + bit < values.size(); ++bit) byte |= (values[i + bit] > 0) << (7 - bit);
        whole.push_back(byte + offset);
      }
      break;
    }
  }
  return whole;
}

}  // namespace

void write_vector(JsonOut& out, std::span<const float> values, VectorFormat format, bool as_base64) {
  if (format == VectorFormat::kBase64) {
    out.plain(base64(values));
  } else if (format == VectorFormat::kFloat) {
    out.floats(values);
  } else if (!as_base64) {
    out.integers(narrowed(values, format));
  } else {
    std::vector<uint8_t> bytes;
    for (const int32_t value : narrowed(values, format)) bytes.push_back(static_cast<uint8_t>(value));
    out.plain(base64(bytes));
  }
}

void check_finite(const Plan& plan, const std::vector<Response>& responses) {
  for (size_t i = 0; i < responses.size(); ++i) {
    for (const Output& output : responses[i].outputs) {
      if (std::all_of(output.values.begin(), output.values.end(), [](float x) { return std::isfinite(x); })) continue;
      const ApiError error(Fault::kInternal, "the model overflowed on this text: its answer is not a finite number");
      throw about(error, plan.item ? plan.item(i) : "");
    }
  }
}

const Output& output_of(const Response& response, std::string_view name) {
  for (const Output& output : response.outputs) {
    if (output.name == name) return output;
  }
  throw ApiError(Fault::kInternal, fmt::format("the engine gave no \"{}\"", name));
}

float score_of(const Response& response, bool raw) {
  const bool by_vectors = std::none_of(response.outputs.begin(), response.outputs.end(),
                                       [](const Output& output) { return output.name == "logit"; });
  const Output& output = output_of(response, by_vectors ? "score" : "logit");
  if (output.values.empty()) throw ApiError(Fault::kInternal, "the engine gave no score");
  return raw || by_vectors ? output.values[0] : sigmoid(output.values[0]);
}

float dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) sum += static_cast<double>(a[i]) * b[i];
  return static_cast<float>(sum);
}

std::vector<size_t> best_first(const std::vector<float>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  return order;
}

void write_id(JsonOut& out, const Answer& answer) {
  out.key("id").text(answer.request_id).key("created").integer(std::time(nullptr));
}

void write_usage(JsonOut& out, size_t tokens) {
  const auto count = static_cast<int64_t>(tokens);
  out.key("usage").open('{').key("prompt_tokens").integer(count).key("total_tokens").integer(count).close('}');
}

void write_warnings(JsonOut& out, std::span<const std::string> warnings) {
  if (warnings.empty()) return;
  out.key("warnings").open('[');
  for (const std::string& warning : warnings) out.text(warning);
  out.close(']');
}

void write_truncated(JsonOut& out, const Response& response) {
  if (response.truncated) out.key("truncated").boolean(true);
}

size_t expected_bytes(const Answer& answer) {
  size_t values = 0;
  for (const Response& response : answer.responses) {
    for (const Output& output : response.outputs) values += output.values.size() + output.ids.size();
  }
  return 1024 + answer.responses.size() * 64 + values * 14;
}

}  // namespace wde::server
