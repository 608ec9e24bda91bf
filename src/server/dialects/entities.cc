// Entities of a text, in the shapes of the Hub's inference API (huggingface_hub's
// InferenceClient.token_classification), which are those of transformers' pipeline. Places are in characters.
#include <fmt/format.h>

#include "server/dialects/routes.h"
#include "wde/entities.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

struct EntityRules {
  EntityAggregation aggregation = EntityAggregation::kSimple;
  std::vector<std::string> ignored = {"O"};
};

EntityRules read_rules(const Fields& fields) {
  EntityRules rules;
  if (const auto name = fields.text("aggregation_strategy")) {
    const auto found = entity_aggregation(*name);
    if (!found) invalid(fields, "aggregation_strategy", "must be one of none, simple, first, average, max");
    rules.aggregation = *found;
  }
  if (const auto labels = fields.find("ignore_labels")) {
    if (!labels->is(Type::kArray)) invalid(fields, "ignore_labels", "must be an array of labels");
    rules.ignored.clear();
    labels->each([&](JsonValue label) {
      if (!label.is(Type::kString)) invalid(fields, "ignore_labels", "must be an array of labels");
      rules.ignored.emplace_back(label.string());
    });
  }
  if (fields.whole("stride", 0, 1 << 20).value_or(0) > 0) {
    invalid(fields, "stride", "must be 0: a text is one window; split what is longer than the model's maximum");
  }
  return rules;
}

void write_entities(JsonOut& out, const std::vector<Entity>& entities, bool tokens) {
  out.open('[');
  for (const Entity& entity : entities) {
    out.open('{').key(tokens ? "entity" : "entity_group").text(entity.label).key("score").number(entity.score);
    if (tokens) out.key("index").integer(static_cast<int64_t>(entity.token));
    out.key("word").text(entity.text).key("start").integer(entity.first_char);
    out.key("end").integer(entity.past_chars).close('}');
  }
  out.close(']');
}

}  // namespace

Plan plan_entities(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kTokenClassify});
  need_task(*plan.model, task::kTokenClassify);
  plan.task = task::kTokenClassify;
  Inputs inputs = read_inputs(fields, "inputs", IdRule::kRefuse, context.rules);
  const Fields options = fields.with("parameters");
  apply(read_cut(options, context.rules), {}, inputs.requests);
  plan.batch = !inputs.single;
  plan.item = inputs.items("inputs");
  plan.requests = std::move(inputs.requests);
  plan.write = [rules = read_rules(options), single = inputs.single](Answer& answer, HttpResponse& response) {
    JsonOut out;
    if (!single) out.open('[');
    for (const Response& one : answer.responses) {
      write_entities(out, find_entities(one, answer.model.info.labels, rules.aggregation, rules.ignored),
                     rules.aggregation == EntityAggregation::kNone);
    }
    if (!single) out.close(']');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
