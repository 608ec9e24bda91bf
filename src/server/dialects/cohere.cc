// Cohere's /v2/embed and /v1/embed.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "server/dialects/data_url.h"
#include "server/dialects/routes.h"
#include "server/dialects/shared/content.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

constexpr std::array<std::string_view, 6> kFormats = {"float", "base64", "int8", "uint8", "binary", "ubinary"};

Request text_request(std::string text) {
  if (text.empty()) throw ApiError(Fault::kEmpty, "`texts` must not hold an empty text", "texts");
  Request request;
  request.input = std::move(text);
  return request;
}

// {"texts": ["…", …]}, {"images": ["data:…", …]} or {"inputs": [{"content": […]}, …]}
std::vector<Request> read_requests(const Fields& fields, const ModelFacts& model, const ApiRules& rules,
                                   std::string& list) {
  std::vector<Request> requests;
  list = fields.has("images") ? "images" : fields.has("inputs") && !fields.has("texts") ? "inputs" : "texts";
  if (fields.has("images")) {
    if (!model.info.images) invalid(fields, "images", "cannot be embedded by a model of texts");
    if (fields.has("texts") || fields.has("inputs")) invalid(fields, "images", "cannot come with texts");
    for (const std::string& image : read_documents(fields, "images", rules)) {
      requests.emplace_back().input = image_of(image, "images");
    }
  } else if (fields.has("inputs") && !fields.has("texts")) {
    const JsonValue inputs = fields.need("inputs");
    if (!inputs.is(Type::kArray)) invalid(fields, "inputs", "must be an array");
    check_count(inputs.size(), "inputs", rules);
    inputs.each([&](JsonValue item) {
      const std::string where = fmt::format("inputs[{}]", requests.size());
      requests.push_back(read_content(fields.within(item, where + "."), "inputs", model.info.images));
    });
  } else {
    if (fields.has("inputs")) invalid(fields, "inputs", "cannot come with texts");
    for (std::string& text : read_documents(fields, "texts", rules)) requests.push_back(text_request(std::move(text)));
  }
  return requests;
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
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kEmbed});
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  std::string list;
  plan.requests = read_requests(fields, *plan.model, context.rules, list);
  plan.item = items_of(list);
  const size_t dimensions = read_dimensions(fields, *plan.model);
  std::vector<std::string> texts;
  for (Request& request : plan.requests) {
    request.dimensions = dimensions;
    if (const auto* text = std::get_if<std::string>(&request.input)) texts.push_back(*text);
  }
  Cut cut = read_cut(fields, context.rules, true);
  // Cohere's models are longer: what is more than this one takes is no limit to it.
  if (const size_t most = plan.model->info.max_length; most > 0) cut.max_length = std::min(cut.max_length, most);
  plan.average = cut.average;
  plan.shared.prompt = read_prompt(fields, *plan.model).text;
  apply(cut, {}, plan.requests);
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
    write_warnings(out, answer.warnings);
    for (const char* name : {"billed_units", "tokens"}) {
      out.key(name).open('{').key("input_tokens").integer(tokens).close('}');
    }
    out.close('}').close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
