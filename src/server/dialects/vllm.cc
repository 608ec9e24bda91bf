// vLLM's /pooling and /classify (and Infinity's); Ollama's /api/embed and /api/embeddings.
#include <fmt/format.h>

#include <algorithm>

#include "server/dialects/routes.h"
#include "server/dialects/shared/content.h"
#include "server/dialects/shared/encoding.h"

namespace wde::server {
namespace {

void open_list(JsonOut& out, const Answer& answer, std::string_view object = "list") {
  write_id(out.open('{'), answer);
  out.key("object").plain(object).key("model").text(answer.model.name).key("data").open('[');
}

void close_list(JsonOut& out, const Answer& answer) {
  out.close(']');
  write_usage(out, answer.tokens);
  out.close('}');
}

// The output that each task's answer is about.
std::string_view main_output(std::string_view task, bool raw) {
  if (task == task::kEmbed) return "embedding";
  if (task == task::kTokenEmbed) return "hidden";
  if (task == task::kMultiVector) return "vectors";
  if (task == task::kScore) return raw ? "logit" : "score";
  if (task == task::kSparse) return "sparse";
  return raw ? "logits" : "probs";
}

void write_pooled(JsonOut& out, const Output& output, const Encoding& encoding) {
  if (!output.ids.empty() || output.name == "sparse") {  // which may be empty
    out.open('{');
    for (size_t i = 0; i < std::min(output.ids.size(), output.values.size()); ++i) {
      out.key(fmt::to_string(output.ids[i])).number(output.values[i]);
    }
    out.close('}');
  } else {
    write_encoded(out, output.values, output.shape.size() == 2 ? output.shape[1] : 0, encoding);
  }
}

void write_kinds(JsonOut& out, const Response& response, const Encoding& encoding) {
  out.open('{');
  for (const Output& output : response.outputs) {
    out.key(output.name);
    write_pooled(out, output, encoding);
  }
  out.close('}');
}

// Which of the two a text is for late interaction, in Cohere's and Jina's words too.
std::optional<std::string> read_side_name(const Fields& fields) {
  const std::optional<size_t> word =
      fields.choice("input_type", {"query", "search_query", "document", "search_document", "passage"});
  if (word) return *word < 2 ? "query" : "document";
  return fields.text("prompt_name");
}

std::string task_of(const Fields& fields, const ModelFacts& model) {
  auto wanted = fields.text("task");
  if (!wanted) return model.default_task;
  // vLLM's names of tasks.
  if (*wanted == "encode" || *wanted == "plugin") return model.default_task;
  if (*wanted == "token_classify" || *wanted == "classify" || *wanted == "embed" || *wanted == "score" ||
      *wanted == "sparse" || *wanted == "multi_vector" || *wanted == "all") {
    return *wanted;
  }
  if (*wanted == "token_embed") return model.can(task::kMultiVector) ? task::kMultiVector : task::kTokenEmbed;
  invalid(fields, "task",
          "must be one of embed, token_embed, classify, token_classify, score, sparse, multi_vector, all");
}

// `options.num_ctx` is a maximum length too; the other options say how Ollama runs a model.
Cut read_ollama_cut(const Fields& fields, const ModelFacts& model, const ApiRules& rules) {
  Cut cut = read_cut(fields, rules, true);
  const auto context = fields.with("options").whole("num_ctx", 0, 1 << 30);
  if (context.value_or(0) > 0) cut.max_length = std::min(static_cast<size_t>(*context), model.info.max_length);
  return cut;
}

bool is_nothing(const Fields& fields, std::string_view name) {
  const auto value = fields.find(name);
  if (!value || (value->is(JsonValue::Type::kString) && value->string().empty())) return true;
  return value->is(JsonValue::Type::kArray) && value->size() == 0;
}

}  // namespace

Plan plan_pooling(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields);
  plan.task = task_of(fields, *plan.model);
  need_task(*plan.model, plan.task);
  const bool chat = fields.has("messages");
  if (!chat && !fields.has("input")) invalid(fields, "input", "is missing");
  Inputs inputs =
      chat ? read_messages(fields, *plan.model) : read_inputs(fields, "input", IdRule::kNative, context.rules);
  plan.shared.prompt = fields.text("prompt");
  const Cut cut = read_cut(fields, context.rules, plan.task == task::kEmbed);
  plan.average = cut.average;
  apply(cut, {}, inputs.requests);
  if (plan.task == task::kMultiVector) plan.shared.prompt_name = read_side_name(fields);
  const bool all = plan.task == task::kAll, embeds = plan.task == task::kEmbed || all;
  const size_t dimensions = embeds ? read_dimensions(fields, *plan.model) : 0;
  std::optional<bool> activation = fields.flag("use_activation");
  for (const char* older : {"normalize", "softmax", "activation"}) {
    if (!activation && (embeds ? older == std::string_view("normalize") : older != std::string_view("normalize")))
      activation = fields.flag(older);
  }
  for (Request& request : inputs.requests) {
    request.dimensions = dimensions;
    if (embeds) request.normalize = activation;
  }
  plan.batch = !inputs.single;
  plan.item = inputs.items("input");
  plan.requests = std::move(inputs.requests);
  const Encoding encoding = read_encoding(fields);
  if (encoding.raw() && (all || plan.task == task::kSparse)) {
    invalid(fields, "encoding_format", "must be \"float\" or \"base64\": weights of tokens are no array of numbers");
  }
  check_raw(fields, encoding, plan.requests.size());
  plan.write = [name = main_output(plan.task, activation == false), encoding, all](Answer& answer,
                                                                                   HttpResponse& response) {
    if (encoding.raw()) return write_raw(answer, name, encoding, response);
    JsonOut out(expected_bytes(answer));
    open_list(out, answer);
    for (size_t i = 0; i < answer.responses.size(); ++i) {
      out.open('{').key("index").integer(static_cast<int64_t>(i)).key("object").plain("pooling").key("data");
      if (all) {
        write_kinds(out, answer.responses[i], encoding);
      } else {
        write_pooled(out, output_of(answer.responses[i], name), encoding);
      }
      write_truncated(out, answer.responses[i]);
      out.close('}');
    }
    close_list(out, answer);
    response.body = out.take();
  };
  return plan;
}

Plan plan_classify(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kClassify});
  need_task(*plan.model, task::kClassify);
  plan.task = task::kClassify;
  Inputs inputs = read_inputs(fields, "input", IdRule::kNative, context.rules);
  apply(read_cut(fields, context.rules), {}, inputs.requests);
  plan.batch = !inputs.single;
  plan.item = inputs.items("input");
  plan.requests = std::move(inputs.requests);
  const bool raw = fields.flag("raw_scores").value_or(false) || fields.flag("use_activation") == false ||
                   fields.flag("activation") == false;
  const bool infinity = context.dialect == Dialect::kInfinity;
  plan.write = [name = main_output(task::kClassify, raw), infinity](Answer& answer, HttpResponse& response) {
    const auto label = [&](size_t i) {
      const auto& labels = answer.model.info.labels;
      return i < labels.size() ? labels[i] : fmt::format("LABEL_{}", i);
    };
    JsonOut out(expected_bytes(answer));
    open_list(out, answer, infinity ? "classify" : "list");
    for (size_t i = 0; i < answer.responses.size(); ++i) {
      const auto& probs = output_of(answer.responses[i], name).values;
      if (infinity) {
        out.open('[');
        for (size_t k : best_first(probs)) {
          out.open('{').key("score").number(probs[k]).key("label").text(label(k)).close('}');
        }
        out.close(']');
        continue;
      }
      const auto best = static_cast<size_t>(std::max_element(probs.begin(), probs.end()) - probs.begin());
      out.open('{').key("index").integer(static_cast<int64_t>(i)).key("label").text(label(best));
      out.key("probs").floats(probs).key("num_classes").integer(static_cast<int64_t>(probs.size()));
      write_truncated(out, answer.responses[i]);
      out.close('}');
    }
    close_list(out, answer);
    response.body = out.take();
  };
  return plan;
}

Plan plan_ollama_embed(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kEmbed});
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  Inputs inputs;
  // Nothing is no mistake to Ollama: its clients load a model that way.
  if (!is_nothing(fields, "input")) inputs = read_inputs(fields, "input", IdRule::kRefuse, context.rules);
  const Cut cut = read_ollama_cut(fields, *plan.model, context.rules);
  plan.average = cut.average;
  apply(cut, {}, inputs.requests);
  const size_t dimensions = read_dimensions(fields, *plan.model);
  for (Request& request : inputs.requests) {
    request.dimensions = dimensions;
    request.normalize = true;
  }
  plan.batch = !inputs.single;
  plan.item = inputs.items("input");
  plan.requests = std::move(inputs.requests);
  plan.write = [asked = fields.text("model").value_or("")](Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    out.open('{').key("model").text(asked.empty() ? answer.model.name : asked).key("embeddings").open('[');
    for (const Response& one : answer.responses) out.floats(output_of(one, "embedding").values);
    out.close(']').key("total_duration").integer(static_cast<int64_t>(answer.seconds * 1e9));
    out.key("load_duration")
        .integer(0)
        .key("prompt_eval_count")
        .integer(static_cast<int64_t>(answer.tokens))
        .close('}');
    response.body = out.take();
  };
  return plan;
}

Plan plan_ollama_embeddings(const PlanContext& context) {
  const Fields fields = context.fields();
  Plan plan;
  plan.model = choose_model(context, fields, {task::kEmbed});
  need_task(*plan.model, task::kEmbed);
  plan.task = task::kEmbed;
  if (!is_nothing(fields, "prompt")) {
    Request request;
    request.input = read_text(fields, "prompt");
    plan.requests.push_back(std::move(request));
    plan.item = [](size_t) { return std::string("prompt"); };
  }
  const Cut cut = read_ollama_cut(fields, *plan.model, context.rules);
  plan.average = cut.average;
  apply(cut, {}, plan.requests);
  plan.write = [](Answer& answer, HttpResponse& response) {
    JsonOut out(expected_bytes(answer));
    out.open('{').key("embedding");
    if (answer.responses.empty()) {
      out.open('[').close(']');
    } else {
      out.floats(output_of(answer.responses[0], "embedding").values);
    }
    out.close('}');
    response.body = out.take();
  };
  return plan;
}

}  // namespace wde::server
