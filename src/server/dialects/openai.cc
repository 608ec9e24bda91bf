// OpenAI's /v1/embeddings, with what Voyage, Jina, vLLM and TEI add to it.
#include <fmt/format.h>

#include "server/dialects/data_url.h"
#include "server/dialects/routes.h"

namespace wde::server {
namespace {

VectorFormat read_format(const Fields& fields) {
  for (const char* name : {"output_dtype", "embedding_type"}) {
    if (fields.has(name)) {
      const VectorFormat format = vector_format(fields, name);
      // Voyage: bytes of these go into base64 as well, which nobody asks for but for floats.
      if (format == VectorFormat::kFloat) break;
      return format;
    }
  }
  return fields.choice("encoding_format", {"float", "base64"}).value_or(0) == 1 ? VectorFormat::kBase64
                                                                                : VectorFormat::kFloat;
}

// Infinity's word for what the strings are.
void read_modality(const Fields& fields, std::vector<Request>& requests) {
  const auto word = fields.choice("modality", {"text", "image", "audio"});
  if (word == 2) invalid(fields, "modality", "\"audio\" is not offered");
  if (word != 1) return;
  for (Request& request : requests) {
    if (const auto* text = std::get_if<std::string>(&request.input)) request.input = image_of(*text, "input");
  }
}

}  // namespace

Plan plan_openai_embeddings(const PlanContext& context) {
  const Fields fields(context.body);
  Plan plan;
  plan.model = choose_model(context, fields, {task::kEmbed});
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  const bool native = context.rules.native_token_input || context.dialect == Dialect::kTei;
  Inputs inputs = read_inputs(fields, "input", native ? IdRule::kNative : IdRule::kRefuse, context.rules);
  read_modality(fields, inputs.requests);
  take_images(*plan.model, "input", inputs.requests);
  if (fields.flag("add_special_tokens") == false) {
    invalid(fields, "add_special_tokens", "cannot be false: this model's vectors are made with its special tokens");
  }
  check_bytes(fields);
  if (fields.flag("late_chunking") == true) invalid(fields, "late_chunking", "is not offered");
  const Cut cut = read_cut(fields, context.rules, true);
  plan.average = cut.average;
  apply(cut, read_prompt(fields, *plan.model), inputs.requests);
  const bool infinity = context.dialect == Dialect::kInfinity || fields.has("modality");
  const size_t dimensions = read_dimensions(fields, *plan.model, infinity);
  std::optional<bool> normalize = fields.flag("normalized");
  for (const char* name : {"normalize", "use_activation"}) {
    if (!normalize) normalize = fields.flag(name);
  }
  for (Request& request : inputs.requests) {
    request.dimensions = dimensions;
    // TEI's route gives unit vectors whatever the model's files say.
    request.normalize = normalize || context.dialect != Dialect::kTei ? normalize : true;
  }
  plan.batch = !inputs.single;
  plan.requests = std::move(inputs.requests);
  plan.write = [format = read_format(fields), tei = context.dialect == Dialect::kTei](Answer& answer,
                                                                                      HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    out.open('{').key("object").plain("list").key("data").open('[');
    for (size_t i = 0; i < answer.responses.size(); ++i) {
      out.open('{').key("object").plain("embedding").key("index").integer(static_cast<int64_t>(i)).key("embedding");
      write_vector(out, output_of(answer.responses[i], "embedding").values, format);
      out.close('}');
    }
    out.close(']').key("model").text(answer.model.name);
    if (!tei) write_id(out, answer);
    write_usage(out, answer.tokens);
    out.close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
