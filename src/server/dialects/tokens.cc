// Token ids and back: TEI's /tokenize and /decode, vLLM's /tokenize and /detokenize.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "server/dialects/routes.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

// Characters of a text up to a byte, for bytes that mostly grow.
class Characters {
 public:
  explicit Characters(std::string_view text) : text_(text) {}

  int64_t before(size_t byte) {
    if (byte < at_) at_ = 0, count_ = 0;
    for (; at_ < std::min(byte, text_.size()); ++at_) count_ += (static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80;
    return count_;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
  int64_t count_ = 0;
};

// `bytes`: places are in bytes, as text-embeddings-inference counts them, else in characters.
void write_tei_tokens(JsonOut& out, const Response& response, const std::string& text, bool specials, bool bytes) {
  Characters characters(text);
  const auto place = [&](size_t byte) { return bytes ? static_cast<int64_t>(byte) : characters.before(byte); };
  const Output& ids = output_of(response, "ids");
  const TokenDetails& details = response.details;
  out.open('[');
  for (size_t i = 0; i < ids.ids.size(); ++i) {
    const bool special = i < details.special_tokens_mask.size() && details.special_tokens_mask[i] != 0;
    if (special && !specials) continue;
    out.open('{').key("id").integer(ids.ids[i]).key("text");
    const Offset offset = i < details.offsets.size() ? details.offsets[i] : Offset{};
    const bool inside = !special && offset.begin <= offset.end && offset.end <= text.size();
    if (inside) {
      out.text(std::string_view(text).substr(offset.begin, offset.end - offset.begin));
    } else {
      out.text(i < details.tokens.size() ? details.tokens[i] : "");
    }
    out.key("special").boolean(special);
    if (special) {
      out.key("start").null().key("stop").null();
    } else {
      out.key("start").integer(place(offset.begin));
      out.key("stop").integer(place(offset.end));
    }
    out.close('}');
  }
  out.close(']');
}

void write_vllm_tokens(JsonOut& out, const Response& response, const ModelFacts& model, bool specials) {
  const Output& ids = output_of(response, "ids");
  const TokenDetails& details = response.details;
  std::vector<size_t> kept;
  for (size_t i = 0; i < ids.ids.size(); ++i) {
    const bool special = i < details.special_tokens_mask.size() && details.special_tokens_mask[i] != 0;
    if (!special || specials) kept.push_back(i);
  }
  out.open('{').key("count").integer(static_cast<int64_t>(kept.size()));
  out.key("max_model_len").integer(static_cast<int64_t>(model.info.max_length)).key("tokens").open('[');
  for (size_t i : kept) out.integer(ids.ids[i]);
  out.close(']').key("token_strs").open('[');
  for (size_t i : kept) out.text(i < details.tokens.size() ? details.tokens[i] : "");
  out.close(']').close('}');
}

std::vector<int32_t> read_ids(JsonValue array, const std::string& where) {
  std::vector<int32_t> ids;
  array.each([&](JsonValue value) {
    if (!value.is(Type::kInteger) || value.integer() < 0 || value.integer() > std::numeric_limits<int32_t>::max()) {
      throw ApiError(Fault::kInvalid, fmt::format("`{}` must hold token ids", where), where);
    }
    ids.push_back(static_cast<int32_t>(value.integer()));
  });
  return ids;
}

std::string decoded(const Engine& engine, const std::vector<int32_t>& ids, bool skip) {
  auto text = engine.decode(ids, skip);
  if (!text.ok()) throw from_engine(text.error());
  return std::move(text).value();
}

}  // namespace

Plan plan_tokenize(const PlanContext& context) {
  const Fields fields = context.fields();
  const bool vllm = fields.has("prompt") && !fields.has("inputs");
  Plan plan;
  plan.model = choose_model(context, fields);
  plan.task = task::kTokenize;
  const bool specials = fields.flag("add_special_tokens").value_or(true);
  if (vllm) {
    Request request;
    request.input = read_text(fields, "prompt");
    request.prompt = "";
    plan.item = [](size_t) { return std::string("prompt"); };
    plan.requests.push_back(std::move(request));
    plan.write = [specials](Answer& answer, HttpResponse& response) {
      JsonOut out;
      write_vllm_tokens(out, answer.responses[0], answer.model, specials);
      response.body = out.take();
    };
    return plan;
  }
  Inputs inputs = read_inputs(fields, "inputs", IdRule::kNative, context.rules);
  plan.shared.prompt = read_prompt(fields, *plan.model).text.value_or("");
  std::vector<std::string> texts;
  for (Request& request : inputs.requests) {
    if (std::holds_alternative<TokenIds>(request.input))
      invalid(fields, "inputs", "must be a text or an array of texts");
    const auto* text = std::get_if<std::string>(&request.input);
    texts.push_back(text != nullptr ? *text : "");
  }
  plan.batch = !inputs.single;
  plan.item = inputs.items("inputs");
  plan.requests = std::move(inputs.requests);
  const bool bytes = context.dialect == Dialect::kTei;
  plan.write = [texts = std::move(texts), prompt = *plan.shared.prompt, specials, bytes](Answer& answer,
                                                                                         HttpResponse& response) {
    JsonOut out;
    out.open('[');
    for (size_t i = 0; i < texts.size(); ++i)
      write_tei_tokens(out, answer.responses[i], prompt + texts[i], specials, bytes);
    out.close(']');
    response.body = out.take();
  };
  return plan;
}

Plan plan_detokenize(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields);
  plan.task = task::kTokenize;
  const bool vllm = fields.has("tokens") && !fields.has("ids");
  const std::string name = vllm ? "tokens" : "ids";
  const JsonValue value = fields.need(name);
  if (!value.is(Type::kArray)) invalid(fields, name, "must be an array of token ids, or of such arrays");
  std::vector<std::vector<int32_t>> sequences;
  bool nested = false;
  value.each([&](JsonValue item) { nested = nested || item.is(Type::kArray); });
  if (nested) {
    check_count(value.size(), name, context.rules);
    value.each([&](JsonValue item) {
      if (!item.is(Type::kArray)) invalid(fields, name, "must be an array of token ids, or of such arrays");
      sequences.push_back(read_ids(item, name));
    });
  } else {
    sequences.push_back(read_ids(value, name));
    if (sequences[0].empty()) throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", name), name);
  }
  const bool skip = fields.flag("skip_special_tokens").value_or(true);
  plan.batch = nested;
  plan.write = [sequences = std::move(sequences), skip, vllm](Answer& answer, HttpResponse& response) {
    JsonOut out;
    if (vllm) {
      out.open('{').key("prompt").text(decoded(answer.engine, sequences[0], skip)).close('}');
    } else {
      out.open('[');
      for (const auto& ids : sequences) out.text(decoded(answer.engine, ids, skip));
      out.close(']');
    }
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
