// Cohere's /v2/embed and /v1/embed.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "server/data_url.h"
#include "server/routes.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

constexpr std::array<std::string_view, 6> kFormats = {"float", "base64", "int8", "uint8", "binary", "ubinary"};

// inputs: [{"content": [{"type": "text", "text": "…"}, …]}, …]; a text is what its parts make together.
std::vector<std::string> read_contents(const Fields& fields, const ApiRules& rules) {
  const JsonValue inputs = fields.need("inputs");
  if (!inputs.is(Type::kArray)) invalid(fields, "inputs", "must be an array");
  check_count(inputs.size(), "inputs", rules);
  std::vector<std::string> texts;
  inputs.each([&](JsonValue item) {
    const std::string where = fmt::format("inputs[{}].", texts.size());
    const Fields input(item, where);
    const JsonValue content = input.need("content");
    std::string text;
    if (content.is(Type::kString)) text = content.string();
    content.each([&](JsonValue part) {
      const Fields fields_of_part(part, where + "content.");
      if (fields_of_part.text("type").value_or("text") != "text") {
        throw ApiError(Fault::kInvalid,
                       fmt::format("`{}content` has a part that is no text; this model reads texts", where), "inputs");
      }
      if (!text.empty()) text += '\n';
      text += read_text(fields_of_part, "text");
    });
    texts.push_back(std::move(text));
  });
  return texts;
}

std::vector<VectorFormat> read_formats(const Fields& fields, bool& named) {
  std::vector<VectorFormat> formats;
  const auto types = fields.find("embedding_types");
  named = types.has_value();
  if (!types) return {VectorFormat::kFloat};
  if (!types->is(Type::kArray)) invalid(fields, "embedding_types", "must be an array of names");
  types->each([&](JsonValue item) {
    const auto* found = std::find(kFormats.begin(), kFormats.end(), item.string());
    if (found == kFormats.end()) {
      invalid(fields, "embedding_types",
              fmt::format("has \"{}\", which is none of {}", item.string(), fmt::join(kFormats, ", ")));
    }
    const auto format = static_cast<VectorFormat>(found - kFormats.begin());
    if (std::find(formats.begin(), formats.end(), format) == formats.end()) formats.push_back(format);
  });
  if (formats.empty()) formats.push_back(VectorFormat::kFloat);
  return formats;
}

void write_matrix(JsonOut& out, const Answer& answer, VectorFormat format) {
  out.open('[');
  for (const Response& one : answer.responses) write_vector(out, output_of(one, "embedding").values, format);
  out.close(']');
}

}  // namespace

Plan plan_cohere_embed(const PlanContext& context) {
  const Fields fields(context.body);
  Plan plan;
  plan.model = choose_model(context, fields);
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  const bool images = fields.has("images");
  if (images && !plan.model->info.images) invalid(fields, "images", "cannot be embedded by a model of texts");
  if (images && (fields.has("texts") || fields.has("inputs"))) invalid(fields, "images", "cannot come with texts");
  std::vector<std::string> texts;
  if (images) {
    for (const std::string& image : read_documents(fields, "images", context.rules)) {
      Request request;
      request.input = image_of(image, "images");
      request.dimensions = read_dimensions(fields, *plan.model);
      plan.requests.push_back(std::move(request));
    }
  } else {
    texts = fields.has("inputs") && !fields.has("texts") ? read_contents(fields, context.rules)
                                                         : read_documents(fields, "texts", context.rules);
  }
  for (const std::string& text : texts) {
    Request request;
    if (text.empty()) throw ApiError(Fault::kEmpty, "`texts` must not hold an empty text", "texts");
    request.input = text;
    request.dimensions = read_dimensions(fields, *plan.model);
    plan.requests.push_back(std::move(request));
  }
  const Cut cut = read_cut(fields, context.rules);
  plan.average = cut.average;
  apply(cut, read_prompt(fields, *plan.model), plan.requests);
  plan.batch = true;
  bool named = false;
  std::vector<VectorFormat> formats = read_formats(fields, named);
  const bool first_version = context.request.path.find("/v1/") != std::string::npos;
  plan.write = [texts = std::move(texts), formats = std::move(formats), bare = first_version && !named, first_version](
                   Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    const auto tokens = static_cast<int64_t>(answer.tokens);
    out.open('{').key("id").text(answer.request_id);
    out.key("response_type").plain(bare ? "embeddings_floats" : "embeddings_by_type");
    out.key("model").text(answer.model.name).key("texts").open('[');
    for (const std::string& text : texts) out.text(text);
    out.close(']').key("embeddings");
    if (bare) {
      write_matrix(out, answer, VectorFormat::kFloat);
    } else {
      out.open('{');
      for (VectorFormat format : formats) {
        out.key(kFormats[static_cast<size_t>(format)]);
        write_matrix(out, answer, format);
      }
      out.close('}');
    }
    out.key("meta").open('{').key("api_version").open('{').key("version").plain(first_version ? "1" : "2").close('}');
    for (const char* name : {"billed_units", "tokens"}) {
      out.key(name).open('{').key("input_tokens").integer(tokens).close('}');
    }
    out.close('}').close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
