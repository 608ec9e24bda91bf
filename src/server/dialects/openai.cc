// OpenAI's /v1/embeddings, with what Voyage, Jina, vLLM and TEI add to it.
#include <fmt/format.h>

#include "server/dialects/data_url.h"
#include "server/dialects/routes.h"
#include "server/dialects/shared/content.h"
#include "server/dialects/shared/encoding.h"

namespace wde::server {
namespace {

// Voyage's `output_dtype` and Jina's `embedding_type`: other numbers than floats. Voyage's go into base64 where
// `encoding_format` says so; Jina has no such field, and its clients wait for a list.
struct Narrow {
  VectorFormat format = VectorFormat::kFloat;  // then `encoding_format` decides
  bool as_base64 = false;
};

Narrow read_narrow(const Fields& fields, const Encoding& encoding) {
  Narrow narrow;
  for (const char* name : {"output_dtype", "embedding_type"}) {
    if (!fields.has(name)) continue;
    const VectorFormat format = vector_format(fields, name);
    if (format == VectorFormat::kFloat || format == narrow.format) continue;
    if (narrow.format != VectorFormat::kFloat) invalid(fields, name, "is not what output_dtype asks for");
    if (encoding.raw()) invalid(fields, name, "cannot come with encoding_format \"bytes\" and \"bytes_only\"");
    if (encoding.number.name != "float32") invalid(fields, name, "cannot come with embed_dtype");
    const bool voyages = std::string_view(name) == "output_dtype";
    narrow = {format, voyages && encoding.form == Encoding::Form::kBase64};
  }
  return narrow;
}

// Infinity's word for what the strings are.
void read_modality(const Fields& fields, bool images, std::vector<Request>& requests) {
  const auto word = fields.choice("modality", {"text", "image", "audio"});
  if (word == 2) invalid(fields, "modality", "\"audio\" is not offered");
  if (images && word == 0) invalid(fields, "modality", "is \"text\", and this route is for images");
  if (word != 1 && !images) return;
  for (Request& request : requests) {
    if (const auto* text = std::get_if<std::string>(&request.input)) request.input = image_of(*text, "input");
  }
}

// `images`: the strings are images, as Infinity's modality "image" says.
Plan plan_embeddings(const PlanContext& context, bool images) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kEmbed});
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  const bool native = context.rules.native_token_input || context.dialect == Dialect::kTei;
  Inputs inputs = fields.has("messages")
                      ? read_messages(fields, *plan.model)
                      : read_inputs(fields, "input", native ? IdRule::kNative : IdRule::kRefuse, context.rules);
  read_modality(fields, images, inputs.requests);
  take_images(*plan.model, "input", inputs.requests);
  if (fields.flag("add_special_tokens") == false) {
    invalid(fields, "add_special_tokens", "cannot be false: this model's vectors are made with its special tokens");
  }
  const Encoding encoding = read_encoding(fields);
  check_raw(fields, encoding, inputs.requests.size());
  if (fields.flag("late_chunking") == true) invalid(fields, "late_chunking", "is not offered");
  const Cut cut = read_cut(fields, context.rules, true);
  plan.average = cut.average;
  plan.shared.prompt = read_prompt(fields, *plan.model).text;
  apply(cut, {}, inputs.requests);
  const bool infinity = context.dialect == Dialect::kInfinity || images || fields.has("modality");
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
  plan.item = inputs.items("input");
  plan.requests = std::move(inputs.requests);
  plan.write = [encoding, narrow = read_narrow(fields, encoding), tei = context.dialect == Dialect::kTei](
                   Answer& answer, HttpResponse& response) {
    if (encoding.raw()) return write_raw(answer, "embedding", encoding, response);
    JsonOut out(expected_bytes(answer));
    out.open('{').key("object").plain("list").key("data").open('[');
    for (size_t i = 0; i < answer.responses.size(); ++i) {
      const auto& values = output_of(answer.responses[i], "embedding").values;
      out.open('{').key("object").plain("embedding").key("index").integer(static_cast<int64_t>(i)).key("embedding");
      if (narrow.format == VectorFormat::kFloat) {
        write_encoded(out, values, 0, encoding);
      } else {
        write_vector(out, values, narrow.format, narrow.as_base64);
      }
      if (!tei) write_truncated(out, answer.responses[i]);
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

}  // namespace

Plan plan_openai_embeddings(const PlanContext& context) { return plan_embeddings(context, false); }
Plan plan_infinity_images(const PlanContext& context) { return plan_embeddings(context, true); }

Plan plan_infinity_audio(const PlanContext& context) {
  choose_model(context, Fields(context.body));
  throw ApiError(Fault::kWrongModel, "audio is not offered: the models here read texts and images", "input");
}

}  // namespace wde::server
