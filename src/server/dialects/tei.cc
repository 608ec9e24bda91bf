// The routes of text-embeddings-inference, with its fields, defaults and shapes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "server/dialects/data_url.h"
#include "server/dialects/routes.h"

namespace wde::server {
namespace {

using Type = JsonValue::Type;

constexpr size_t kMaxWarnings = 4;  // of all requests of one /vertex

Plan plan_vectors(const PlanContext& context, const Fields& body, const char* task) {
  const Fields fields = body.with("parameters");
  Plan plan;
  plan.model = choose_model(context, fields, {task});
  need_task(*plan.model, task);
  plan.task = task;
  Inputs inputs = read_inputs(fields, "inputs", IdRule::kNative, context.rules);
  take_images(*plan.model, "inputs", inputs.requests);
  const Cut cut = read_cut(fields, context.rules, plan.task == task::kEmbed);
  plan.average = cut.average;
  plan.shared.prompt = read_prompt(fields, *plan.model).text;
  apply(cut, {}, inputs.requests);
  plan.batch = !inputs.single;
  plan.item = inputs.items("inputs");
  plan.requests = std::move(inputs.requests);
  return plan;
}

Plan embed(const PlanContext& context, const Fields& fields) {
  Plan plan = plan_vectors(context, fields, task::kEmbed);
  const Fields options = fields.with("parameters");
  const bool normalize = options.flag("normalize").value_or(true);
  const size_t dimensions = read_dimensions(options, *plan.model);
  for (Request& request : plan.requests) {
    request.normalize = normalize;
    request.dimensions = dimensions;
  }
  plan.write = [](Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    out.open('[');
    for (const Response& one : answer.responses) out.floats(output_of(one, "embedding").values);
    out.close(']');
    response.body = out.take();
  };
  return plan;
}

// "s" is one text, ["a", "b"] one pair, [["a"], ["a", "b"], …] a batch of both.
Request predict_input(JsonValue value, const std::string& where) {
  std::vector<std::string> texts;
  if (value.is(Type::kString)) texts.emplace_back(value.string());
  value.each([&](JsonValue item) {
    if (!item.is(Type::kString)) {
      throw ApiError(Fault::kInvalid, fmt::format("`{}` must hold strings", where), where);
    }
    texts.emplace_back(item.string());
  });
  if (texts.empty() || texts.size() > 2) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("`{}` must be a string, or an array of one or two strings (a pair); a batch is an array "
                               "of such arrays: [[\"a\"], [\"b\"]]",
                               where),
                   where);
  }
  if (std::any_of(texts.begin(), texts.end(), [](const std::string& text) { return text.empty(); })) {
    throw ApiError(Fault::kEmpty, fmt::format("`{}` must not be empty", where), where);
  }
  Request request;
  if (texts.size() == 2) {
    request.input = TextPair{std::move(texts[0]), std::move(texts[1])};
  } else {
    request.input = std::move(texts[0]);
  }
  return request;
}

// What becomes of a label's logit: TEI's `raw_scores`, and what transformers' pipelines take.
struct ScoreRules {
  enum class Function { kModel, kNone, kSigmoid, kSoftmax } function = Function::kModel;
  size_t top = 0;  // 0: all labels
};

ScoreRules read_score_rules(const Fields& options) {
  using Function = ScoreRules::Function;
  ScoreRules rules;
  if (options.flag("raw_scores").value_or(false)) rules.function = Function::kNone;
  if (const auto word = options.choice("function_to_apply", {"none", "sigmoid", "softmax"})) {
    if (rules.function == Function::kNone && *word != 0) {
      invalid(options, "function_to_apply", "must be none where `raw_scores` is true");
    }
    rules.function = *word == 0 ? Function::kNone : *word == 1 ? Function::kSigmoid : Function::kSoftmax;
  }
  if (const auto top = options.whole("top_k", 1, 1 << 24)) rules.top = static_cast<size_t>(*top);
  if (const auto all = options.flag("return_all_scores"); all == false && rules.top == 0) rules.top = 1;
  return rules;
}

void softmax(std::vector<float>& values) {
  const float most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (float& value : values) sum += value = std::exp(value - most);
  for (float& value : values) value = static_cast<float>(value / sum);
}

// TEI's scores are softmax over several labels unless the model's config says otherwise.
std::vector<float> label_scores(const Response& response, bool scores, ScoreRules::Function function) {
  using Function = ScoreRules::Function;
  const bool raw = function != Function::kModel;
  std::vector<float> values =
      scores ? std::vector<float>{score_of(response, raw)} : output_of(response, raw ? "logits" : "probs").values;
  if (function == Function::kSoftmax) softmax(values);
  if (function == Function::kSigmoid) {
    for (float& value : values) value = sigmoid(value);
  }
  return values;
}

void write_predictions(JsonOut& out, const ModelFacts& model, const std::vector<float>& scores, size_t top) {
  std::vector<size_t> order = best_first(scores);
  if (top > 0 && top < order.size()) order.resize(top);
  out.open('[');
  for (size_t i : order) {
    const auto& labels = model.info.labels;
    out.open('{').key("score").number(scores[i]).key("label");
    out.text(i < labels.size() ? labels[i] : fmt::format("LABEL_{}", i)).close('}');
  }
  out.close(']');
}

Plan predict(const PlanContext& context, const Fields& fields) {
  const Fields options = fields.with("parameters");
  Plan plan;
  plan.model = choose_model(context, fields, {task::kClassify, task::kScore});
  const bool scores = !plan.model->can(task::kClassify) && plan.model->can(task::kScore);
  if (!scores) need_task(*plan.model, task::kClassify);
  plan.task = scores ? task::kScore : task::kClassify;
  const JsonValue inputs = fields.need("inputs");
  bool nested = false;
  inputs.each([&](JsonValue item) { nested = nested || item.is(Type::kArray); });
  if (nested) {
    check_count(inputs.size(), "inputs", context.rules);
    inputs.each([&](JsonValue item) {
      plan.requests.push_back(predict_input(item, fmt::format("inputs[{}]", plan.requests.size())));
    });
  } else {
    plan.requests.push_back(predict_input(inputs, "inputs"));
    if (inputs.size() == 2) {
      plan.warnings.emplace_back("inputs of two strings are one pair; two texts are [[\"a\"], [\"b\"]]");
    }
  }
  apply(read_cut(options, context.rules), {}, plan.requests);
  plan.batch = nested;
  plan.item = nested ? items_of("inputs") : [](size_t) { return std::string("inputs"); };
  plan.write = [rules = read_score_rules(options), scores, nested](Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    if (nested) out.open('[');
    for (const Response& one : answer.responses) {
      write_predictions(out, answer.model, label_scores(one, scores, rules.function), rules.top);
    }
    if (nested) out.close(']');
    response.body = out.take();
  };
  return plan;
}

Plan embed_sparse(const PlanContext& context, const Fields& fields) {
  Plan plan = plan_vectors(context, fields, task::kSparse);
  plan.write = [](Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    out.open('[');
    for (const Response& one : answer.responses) {
      const Output& output = output_of(one, "sparse");
      out.open('[');
      for (size_t i = 0; i < std::min(output.ids.size(), output.values.size()); ++i) {
        out.open('{').key("index").integer(output.ids[i]).key("value").number(output.values[i]).close('}');
      }
      out.close(']');
    }
    out.close(']');
    response.body = out.take();
  };
  return plan;
}

}  // namespace

Plan plan_tei_embed(const PlanContext& context) { return embed(context, context.fields()); }
Plan plan_tei_predict(const PlanContext& context) { return predict(context, context.fields()); }
Plan plan_tei_embed_sparse(const PlanContext& context) { return embed_sparse(context, context.fields()); }

Plan plan_tei_embed_all(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan = plan_vectors(context, fields, task::kTokenEmbed);
  plan.write = [](Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    out.open('[');
    for (const Response& one : answer.responses) {
      const Output& output = output_of(one, "hidden");
      out.rows(output.values, output.shape.empty() ? 0 : output.shape.back());
    }
    out.close(']');
    response.body = out.take();
  };
  return plan;
}

Plan plan_tei_similarity(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kEmbed});
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  const Fields inputs = fields.within(fields.need("inputs"), "inputs.");
  Request source;
  source.input = read_text(inputs, "source_sentence");
  plan.requests.push_back(std::move(source));
  for (std::string& text : read_documents(inputs, "sentences", context.rules)) {
    Request request;
    request.input = std::move(text);
    plan.requests.push_back(std::move(request));
  }
  const Fields options = fields.with("parameters");
  const Cut cut = read_cut(options, context.rules, true);
  plan.average = cut.average;
  plan.shared.prompt = read_prompt(options, *plan.model).text;
  apply(cut, {}, plan.requests);
  for (Request& request : plan.requests) request.normalize = true;
  plan.batch = true;
  plan.item = [](size_t i) {
    return i == 0 ? std::string("inputs.source_sentence") : fmt::format("inputs.sentences[{}]", i - 1);
  };
  plan.write = [](Answer& answer, HttpResponse& response) {
    JsonOut out;
    out.open('[');
    const auto& source_values = output_of(answer.responses[0], "embedding").values;
    for (size_t i = 1; i < answer.responses.size(); ++i) {
      out.number(dot(source_values, output_of(answer.responses[i], "embedding").values));
    }
    out.close(']');
    response.body = out.take();
  };
  return plan;
}

// POST / and /invocations: what the model was made for.
Plan plan_tei_default(const PlanContext& context) {
  const Fields fields = context.fields();
  if (fields.has("query") && (fields.has("texts") || fields.has("documents"))) return plan_rerank(context);
  if (fields.has("input") && !fields.has("inputs")) return plan_openai_embeddings(context);
  const auto inputs = fields.find("inputs");
  if (inputs && inputs->is(Type::kObject)) return plan_tei_similarity(context);
  std::shared_ptr<const ModelFacts> model = choose_model(context, fields);
  PlanContext chosen = context;
  chosen.find_model = [&](std::string_view, TaskList) { return model; };
  const std::string& made_for = model->default_task;
  if (made_for == task::kClassify || made_for == task::kScore) return plan_tei_predict(chosen);
  if (made_for == task::kTokenClassify) return plan_entities(chosen);
  if (made_for == task::kSparse) return plan_tei_embed_sparse(chosen);
  return plan_tei_embed(chosen);
}

// {"instances": [one or more bodies of POST /]} -> {"predictions": […]}
Plan plan_tei_vertex(const PlanContext& context) {
  const Fields fields = context.fields();
  const JsonValue instances = fields.need("instances");
  if (!instances.is(Type::kArray)) invalid(fields, "instances", "must be an array of requests");
  check_count(instances.size(), "instances", context.rules);
  struct Part {
    size_t begin, end;
    std::function<std::string(size_t)> item;
    std::function<void(Answer&, HttpResponse&)> write;
  };
  auto parts = std::make_shared<std::vector<Part>>();
  Plan whole;
  instances.each([&](JsonValue instance) {
    PlanContext inner = context;
    inner.body = instance;
    Plan plan = make_part(plan_tei_default, inner);
    if (!whole.model) whole.model = plan.model, whole.task = plan.task, whole.average = plan.average;
    if (plan.model != whole.model || plan.task != whole.task || plan.average != whole.average) {
      invalid(fields, "instances", "must all go to one model for one task, with one `long_input`");
    }
    if (plan.next) invalid(fields, "instances", "cannot rank documents by pieces (max_chunks_per_doc)");
    const size_t begin = whole.requests.size();
    for (Request& request : plan.requests) whole.requests.push_back(std::move(request));
    check_count(whole.requests.size(), "instances", context.rules);  // at once: what follows could be large
    for (std::string& warning : plan.warnings) {
      const auto& known = whole.warnings;
      if (known.size() < kMaxWarnings && std::find(known.begin(), known.end(), warning) == known.end())
        whole.warnings.push_back(std::move(warning));
    }
    whole.undeclared_dimensions = whole.undeclared_dimensions || plan.undeclared_dimensions;
    parts->push_back({begin, whole.requests.size(), std::move(plan.item), std::move(plan.write)});
  });
  whole.batch = true;
  whole.item = [parts](size_t i) {
    for (size_t k = 0; k < parts->size(); ++k) {
      const Part& part = (*parts)[k];
      if (i >= part.begin && i < part.end && part.item)
        return fmt::format("instances[{}].{}", k, part.item(i - part.begin));
    }
    return std::string("instances");
  };
  whole.write = [parts](Answer& answer, HttpResponse& response) {
    JsonOut out;
    out.open('{').key("predictions").open('[');
    for (const Part& part : *parts) {
      const auto at = [&](size_t i) { return answer.responses.begin() + static_cast<std::ptrdiff_t>(i); };
      std::vector<Response> responses(std::make_move_iterator(at(part.begin)), std::make_move_iterator(at(part.end)));
      Answer piece{answer.model, answer.engine, responses, answer.tokens, answer.seconds, answer.request_id, {}};
      HttpResponse inner;
      part.write(piece, inner);
      out.raw(inner.body);
    }
    out.close(']').close('}');
    response.body = out.take();
  };
  return whole;
}

}  // namespace wde::server
