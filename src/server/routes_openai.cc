// OpenAI's /v1/embeddings, with what Voyage, Jina, vLLM and TEI add to it.
#include <fmt/format.h>

#include "server/data_url.h"
#include "server/routes.h"

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

}  // namespace

Plan plan_openai_embeddings(const PlanContext& context) {
  const Fields fields(context.body);
  Plan plan;
  plan.model = choose_model(context, fields);
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  const bool native = context.rules.native_token_input || context.dialect == Dialect::kTei;
  Inputs inputs = read_inputs(fields, "input", native ? IdRule::kNative : IdRule::kRefuse, context.rules);
  take_images(*plan.model, "input", inputs.requests);
  if (fields.flag("add_special_tokens") == false) {
    invalid(fields, "add_special_tokens", "cannot be false: this model's vectors are made with its special tokens");
  }
  if (fields.flag("late_chunking") == true) invalid(fields, "late_chunking", "is not offered");
  const Cut cut = read_cut(fields, context.rules);
  plan.average = cut.average;
  apply(cut, read_prompt(fields, *plan.model), inputs.requests);
  const size_t dimensions = read_dimensions(fields, *plan.model);
  std::optional<bool> normalize = fields.flag("normalized");
  if (!normalize) normalize = fields.flag("normalize");
  for (Request& request : inputs.requests) {
    request.dimensions = dimensions;
    // TEI's route gives unit vectors whatever the model's files say.
    request.normalize = normalize || context.dialect != Dialect::kTei ? normalize : true;
  }
  plan.batch = !inputs.single;
  plan.requests = std::move(inputs.requests);
  plan.write = [format = read_format(fields)](Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    out.open('{').key("object").plain("list").key("data").open('[');
    for (size_t i = 0; i < answer.responses.size(); ++i) {
      out.open('{').key("object").plain("embedding").key("index").integer(static_cast<int64_t>(i)).key("embedding");
      write_vector(out, output_of(answer.responses[i], "embedding").values, format);
      out.close('}');
    }
    out.close(']').key("model").text(answer.model.name);
    write_usage(out, answer.tokens);
    out.close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
